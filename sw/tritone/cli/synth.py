# SPDX-License-Identifier: Apache-2.0
"""``tritone synth``: a machine's area and clock on a device, with a network's frames a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tritone.compiler import compile_network, describe
from tritone.graph import Network
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig
from tritone.spec.storage import write_json

if TYPE_CHECKING:
    from tritone_hw.synthesis.flow import Synthesis
    from tritone_sim.simulate import Netlist

__all__ = ["run_costs", "synth", "synthesis_report"]


def run_costs(run: Path | None, machine: MachineConfig) -> tuple[str | None, float | None]:
    """Return the network of a run and its cycles an image on ``machine``; None without a run.

    Raises
    ------
    FileNotFoundError : the run has no graph.
    ValueError : the network does not fit the machine.
    """
    if run is None:
        return None, None
    graph = run / "graph"
    if not graph.exists():
        raise FileNotFoundError(f"{graph} must be there; make it with: tritone export {run}")
    network = Network.load(graph)
    return network.name, describe(compile_network(network, machine)).cycles


def synth(
    machine: MachineConfig,
    device: Device,
    run: Path | None,
    seeds: Sequence[int],
    placer: str,
    router: str | None,
    build: Path,
) -> tuple[Path, dict[str, Any]]:
    """Synthesise ``machine``; return the path and content of what is written of it.

    That is ``build/synth/<machine>-<device>.json``.

    Parameters
    ----------
    machine, device : of what, on what.
    run : folder with graph/, whose frames a second are told; None leaves them out.
    seeds : of the placer.
    placer, router : of nextpnr, by name; without a router its size chooses.
    build : folder for what is generated.

    Raises
    ------
    FileNotFoundError : a tool or the graph is missing.
    ValueError : the device is too small, or the network does not fit the machine.
    RuntimeError : a tool failed.
    """
    from tritone_hw.synthesis.flow import synthesise
    from tritone_hw.synthesis.placement import Placer, Router

    network, cycles = run_costs(run, machine)
    title = f"{machine.name} on {device.name}"
    with Console(stderr=True).status(title) as status:
        result = synthesise(
            machine,
            device,
            seeds=seeds,
            placer=Placer(placer),
            router=None if router is None else Router(router),
            build=build,
            watch=lambda stage: status.update(f"{title}: {stage}"),
        )
    report = synthesis_report(result, network, cycles)
    path = build / "synth" / f"{machine.name}-{device.name}.json"
    write_json(path, report)
    return path, report


def synthesis_report(
    result: Synthesis, network: str | None, cycles_per_image: float | None
) -> dict[str, Any]:
    """Return what the JSON of a synthesis holds.

    ``sites``, ``ff``, ``bram``, ``dsp`` are the machine's, those of the serial port that stands in
    for the buses are ``wrapper``; ``fmax_mhz`` and ``seed`` are those of the best seed, ``seeds``
    has all that were routed, ``failed_seeds`` why the others were not. ``fps`` is fmax over
    ``cycles_per_image``, of the same machine: a figure on paper.
    """
    area, best, machine = result.area, result.best, result.machine
    fmax = best.fmax_mhz if best else None
    return {
        "device": result.device.name,
        "machine": machine.name,
        "fingerprint": f"{machine.fingerprint:016x}",
        "macs_per_cycle": machine.macs_per_cycle,
        "sites": round(area.sites),
        "ff": area.ff,
        "bram": area.bram,
        "dsp": area.dsp,
        "spram": area.spram,
        "fmax_mhz": None if fmax is None else round(fmax, 2),
        "sites_per_mac": round(area.sites / machine.macs_per_cycle, 2),
        "cycles_per_image": cycles_per_image,
        "network": network,
        "fps": (
            None if fmax is None or not cycles_per_image else round(fmax * 1e6 / cycles_per_image)
        ),
        "seconds": round(result.mapping_seconds + (best.seconds if best else 0), 1),
        "seed": best.seed if best else None,
        "tool_versions": list(result.tool_versions),
        "placed": best is not None,
        "seeds": {str(each.seed): round(each.fmax_mhz, 2) for each in result.placements},
        "failed_seeds": {str(seed): reason for seed, reason in result.failures.items()},
        "wrapper": asdict(result.wrapper),
        "mapped": asdict(result.mapped),
        "blocks": {name: asdict(block) for name, block in result.blocks.items()},
    }


def synthesised_machine(machine: MachineConfig, target: str, build: Path) -> Netlist:
    """Return the machine as cells of a family, to be simulated.

    Parameters
    ----------
    machine, target : of what, of which family's cells, by name.
    build : folder for what is generated.

    Raises
    ------
    FileNotFoundError : a tool is missing.
    ValueError : the family has no cells of its own in the array.
    RuntimeError : a tool failed.
    """
    from tritone_hw.platform.target import Target
    from tritone_hw.synthesis.netlist import netlist_verilog
    from tritone_sim.simulate import Netlist

    names = [each.value for each in Target if each is not Target.PORTABLE]
    if target not in names:
        raise ValueError(f"Netlist must be one of {', '.join(names)}, not {target!r}")
    title = f"{machine.name} in the cells of {target}"
    with Console(stderr=True).status(title) as status:
        verilog = netlist_verilog(
            machine, Target(target), build, lambda stage: status.update(f"{title}: {stage}")
        )
    return Netlist(name=target, verilog=verilog)

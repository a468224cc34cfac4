# SPDX-License-Identifier: Apache-2.0
"""One convolution on our machine and on the accelerator that NNgen makes for it, in one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritone.cli.hardware_results import put_hardware
from tritone.cli.results_page import Row
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig

if TYPE_CHECKING:
    from tritone_hw.synthesis.mapping import Mapping

__all__ = ["add_comparison", "measure_ours", "measure_peer"]

# Input and output channels at a time of NNgen's accelerator, by its width: 144 and 36 lanes, which
# take about as many tables.
_PARALLEL = {4: 4, 8: 2}


def measure_peer(bits: int, device: Device, build: Path, watch: Callable[[str], None]) -> Row:
    """Let NNgen make its accelerator, simulate it and map it to ``device``.

    Parameters
    ----------
    bits : of weights and activations, 4 or 8.
    device : only its family counts: the cells are counted, nothing is placed.
    build : folder for what is generated.
    watch : is told the stage.

    Raises
    ------
    ModuleNotFoundError, FileNotFoundError : NNgen or a tool is missing.
    ValueError : NNgen has no such width here.
    RuntimeError : a tool failed.
    """
    from tritone_hw.synthesis.mapping import map_verilog
    from tritone_sim.nngen_convolution import TOP, draw_peer, run_peer

    if bits not in _PARALLEL:
        raise ValueError(f"Bits must be one of {sorted(_PARALLEL)}, not {bits}")
    name = f"nngen-int{bits}"
    watch("NNgen: make the accelerator")
    design = draw_peer(build / "bench" / name, bits=bits, parallel=_PARALLEL[bits])
    watch("NNgen: simulate")
    found = run_peer(design, cache=build / "verilator")
    mapped = map_verilog(
        design.verilog,
        TOP,
        name,
        device,
        build=build,
        watch=lambda stage: watch(f"NNgen: {stage}"),
    )
    return _row(
        mapped,
        device,
        machine=f"NNgen {design.version}, {design.lanes} lanes",
        codebook=f"int{bits}",
        lanes=design.lanes,
        macs=design.macs,
        cycles=found.cycles,
        single=found.cycles,
        values=found.words * (32 // bits),
        mismatches=found.mismatches,
    )


def measure_ours(
    machine: MachineConfig, maps: int, device: Device, build: Path, watch: Callable[[str], None]
) -> Row:
    """Simulate the convolution on ``machine`` and map the machine to ``device``.

    Parameters
    ----------
    maps : how many make up the steady state.
    device, build, watch : as for ``measure_peer``, and so are the errors.
    """
    from tritone.compiler import compile_network
    from tritone_hw.platform.serial_host import SerialHost
    from tritone_hw.synthesis.mapping import map_component
    from tritone_sim.convolution import convolution_network, measure_convolution
    from tritone_sim.simulate import machine_model

    network = convolution_network()
    compile_network(network, machine)  # refused before the Verilog, which takes longer
    watch(f"{machine.name}: build the simulator")
    model = machine_model(machine, build=build)
    watch(f"{machine.name}: simulate")
    found = measure_convolution(model, machine, maps, build / "bench" / machine.name)
    mapped = map_component(
        SerialHost(machine),
        machine.name,
        device,
        build=build,
        watch=lambda stage: watch(f"{machine.name}: {stage}"),
    )
    return _row(
        mapped,
        device,
        machine=machine.name,
        codebook="by table",
        lanes=machine.macs_per_cycle,
        macs=network.macs(network.nodes[0]),
        cycles=found["cycles_per_image"],
        single=found["single_shot_cycles"],
        values=found["values"],
        mismatches=found["mismatches"],
    )


def _row(
    mapped: Mapping,
    device: Device,
    *,
    machine: str,
    codebook: str,
    lanes: int,
    macs: int,
    cycles: float,
    single: int,
    values: int,
    mismatches: int,
) -> Row:
    """Return a row of the comparison; the serial port of the tools is left out of the area."""
    from tritone.spec.area import Area
    from tritone_hw.synthesis.blocks import WRAPPER
    from tritone_hw.synthesis.tools import YOSYS

    ours = [area for name, area in mapped.blocks.items() if name != WRAPPER]
    area = sum(ours or mapped.blocks.values(), Area())
    return {
        "machine": machine,
        "codebook": codebook,
        "device": device.name,
        "macs_per_cycle": lanes,
        "cycles_per_image": cycles,
        "utilisation": macs / (lanes * cycles),
        "single_shot_cycles": single,
        "single_shot_utilisation": macs / (lanes * single),
        "sites": round(area.sites),
        "sites_per_mac": round(area.sites / lanes, 2),
        "ff": area.ff,
        "bram": area.bram,
        "dsp": area.dsp,
        "values": values,
        "mismatches": mismatches,
        "seconds": mapped.seconds,
        "tool_versions": [YOSYS.version()],
    }


def add_comparison(rows: list[Row], results: Path, command: str) -> Path:
    """Add the rows to the table of hardware in ``results``; return its path.

    Raises
    ------
    ValueError : there are mismatches in them.
    """
    wrong = sum(row["mismatches"] for row in rows)
    if wrong:
        raise ValueError(f"Comparison must have no mismatches, not {wrong}")
    table = results
    for row in rows:
        told: dict[str, Any] = {
            "kind": "accelerator",
            "network": "conv 16-16 3x3 on 32x32",
            "tool": "yosys",
            "measured_or_published": "measured",
            "source": command,
        }
        table = put_hardware(row | told, results)
    return table

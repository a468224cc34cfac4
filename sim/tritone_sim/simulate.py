# SPDX-License-Identifier: Apache-2.0
"""``tritone sim``: the test images of a run through the machine's Verilog."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from tritone.compiler import pack_images, predict
from tritone.golden import fast
from tritone.graph import Network
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program
from tritone.spec.render import c_header
from tritone.spec.storage import write_json
from tritone_hw.emit import TOP, emit_verilog
from tritone_sim.bare import build_bare
from tritone_sim.build import Model, build_model
from tritone_sim.control_file import Probe
from tritone_sim.runner import Trace
from tritone_sim.shares import Workers, verify_in_shares
from tritone_sim.verification import Verification, verify

__all__ = ["WRITE_BACK", "Netlist", "bare_model", "load_test_set", "machine_model", "simulate"]

# The strobe by which a wrong value gets its clock cycle.
WRITE_BACK = Probe(("engine",), "write_back_valid")


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Verilog that stands in for that of a machine: what synthesis made of it.

    Parameters
    ----------
    name : of the family that its cells are of.
    verilog : with the machine's ports and the strobe WRITE_BACK.
    """

    name: str
    verilog: str


def machine_model(
    machine: MachineConfig,
    *,
    trace: Trace = Trace.NOTHING,
    build: Path = Path("build"),
    netlist: Netlist | None = None,
) -> Model:
    """Return the compiled Verilog of ``machine``; raises as ``build_model`` does."""
    return build_model(
        emit_verilog(machine) if netlist is None else netlist.verilog,
        TOP,
        probes=(WRITE_BACK,),
        trace=trace,
        cache=build / "verilator",
    )


def bare_model(machine: MachineConfig, *, build: Path = Path("build")) -> Path:
    """Return the program that runs ``machine`` without cocotb; raises as ``build_bare`` does."""
    return build_bare(emit_verilog(machine), c_header(machine), TOP, cache=build / "verilator")


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")


def load_test_set(path: Path, images: int) -> dict[str, npt.NDArray[Any]]:
    """Return the first ``images`` of a test set: images, labels, logits of the frozen model."""
    if not path.exists():
        raise FileNotFoundError(f"Simulation must find {path}; write it with: tritone export")
    held: dict[str, npt.NDArray[Any]] = safetensors.numpy.load_file(path)
    if not 1 <= images <= len(held["images"]):
        raise ValueError(
            f"Images must be in 1..{len(held['images'])}, the size of the test set, not {images}"
        )
    return {name: values[:images] for name, values in held.items()}


def simulate(
    run: Path,
    machine: MachineConfig,
    images: int,
    waves: bool = False,
    build: Path = Path("build"),
    workers: Workers | None = None,
    netlist: Netlist | None = None,
) -> dict[str, Any]:
    """Run test images through the Verilog of ``machine`` and write ``run/sim.json``.

    Two passes: one stores every layer's output, each value of which is compared with the golden
    machine; one runs freely and gives cycles and logits, which are compared with the golden
    machine, the golden layers and the frozen PyTorch model.

    With ``workers`` the first pass is done in shares, by several simulators at the same time, and
    the second by another one; what is written is the same.

    Parameters
    ----------
    run : folder with program.bin and graph/.
    machine : what to simulate.
    images : how many, from the front of the test set.
    waves : write run/simulation/dump.fst.
    build : folder of compiled models.
    workers : processes to do it; None: one simulator, beside this process.
    netlist : what synthesis made of the machine, run in its place; the report is
        ``run/sim-<name>.json`` then.

    Returns
    -------
    dict : what sim.json holds; ``mismatches`` counts the values that differ in any comparison.

    Raises
    ------
    FileNotFoundError : a file of the run or a tool is missing.
    ValueError : the program is damaged or for another machine, there are not so many images, or
        several simulators are to record waves.
    RuntimeError : the build or the simulation failed, or the machine stopped with an error.
    """
    began = time.perf_counter()
    if waves and workers is not None:
        raise ValueError(f"Waves must be recorded by one simulator, not {workers.workers}")
    path = run / "program.bin"
    if not path.exists():
        raise FileNotFoundError(f"Simulation must find {path}; write it with: tritone compile")
    program = Program.load(path)
    program.require_machine(machine)
    network = Network.load(run / "graph")
    test = load_test_set(run / "graph" / "test.safetensors", images)

    columns = (TextColumn("{task.description}"), BarColumn(), _Rate(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        building = progress.add_task("build the simulator", total=None)
        trace = Trace.WAVES if waves else Trace.NOTHING
        model = machine_model(machine, trace=trace, build=build, netlist=netlist)
        progress.update(building, total=1, completed=1)
        built = time.perf_counter()
        running = progress.add_task("simulate", total=2 * images)
        packed, folder = pack_images(test["images"], program), run / "simulation"

        def watch(done: int) -> None:
            progress.update(running, completed=done)

        if workers is None:
            found = verify(model, program, packed, folder, watch=watch)
        else:
            found = verify_in_shares(model, program, packed, folder, workers, watch)
        progress.update(running, completed=2 * images)

    report = _report(program, network, machine, test, found)
    report["seconds"] = round(time.perf_counter() - began, 2)
    report["build_seconds"] = round(built - began, 2)
    if netlist is not None:
        report["netlist"] = netlist.name
    write_json(run / ("sim.json" if netlist is None else f"sim-{netlist.name}.json"), report)
    return report


def _report(
    program: Program,
    network: Network,
    machine: MachineConfig,
    test: dict[str, npt.NDArray[Any]],
    found: Verification,
) -> dict[str, Any]:
    images = len(test["images"])
    layers = fast.run(network, test["images"], logits_only=True)[network.output].reshape(images, -1)
    logit_mismatches = {
        "golden_machine": found.logit_mismatches,
        "golden_layers": int((found.logits != layers).sum()),
        "frozen_model": int((found.logits != test["logits"]).sum()),
    }
    cycles = found.free.cycles / images
    macs = sum(tensor["macs"] for tensor in program.metadata["tensors"])
    comparison = found.comparison
    return {
        "machine": machine.name,
        "fingerprint": f"{found.free.fingerprint:016x}",
        "network": network.name,
        "images": images,
        "image_range": [0, images],
        "tensors": len(found.tensors),
        "values": comparison.values,
        "mismatches": comparison.mismatches + sum(logit_mismatches.values()),
        "tensor_mismatches": comparison.mismatches,
        "logit_mismatches": logit_mismatches,
        "divergence": asdict(comparison.divergence) if comparison.divergence else None,
        "layers": [asdict(each) for each in comparison.layers],
        "cycles": found.free.cycles,
        "cycles_per_image": cycles,
        "predicted_cycles_per_image": predict(program, images).cycles / images,
        "mac_cycles_per_image": found.free.array_cycles / images,
        "macs_per_image": macs,
        "utilisation": macs / (machine.macs_per_cycle * cycles),
        "top1": 100 * float(np.mean(found.logits.argmax(axis=1) == test["labels"])),
        "tensor_sha256": comparison.tensor_sha256,
        "simulation_seconds": round(
            sum(outcome.seconds for outcome in (*found.dumped, found.free)), 2
        ),
    }

# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.simulate: what a run's sim.json says, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tritone.golden import fast
from tritone.spec.machine import preset
from tritone_hw.emit import emit_verilog
from tritone_sim.shares import Processes
from tritone_sim.simulate import Netlist, simulate
from tritone_sim.toolchain import find_toolchain

BUILD = Path(__file__).resolve().parents[2] / "build"
MACHINE = preset("tiny")


@pytest.fixture
def run(tmp_path: Path, workload: Any) -> Path:
    """A run folder as export and compile leave it; every label is 3."""
    folder = tmp_path / "run"
    workload.network.save(folder / "graph")
    workload.program.save(folder / "program.bin")
    count = len(workload.images)
    logits = fast.run(workload.network, workload.images)[workload.network.output]
    write_test_set(folder, workload.images, logits.reshape(count, -1).astype(np.int64))
    return folder


def write_test_set(folder: Path, images: np.ndarray, logits: np.ndarray) -> None:
    """Write graph/test.safetensors."""
    labels = np.full(len(images), 3, np.int64)
    tensors = {"images": images, "labels": labels, "logits": logits}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")


def test_the_report_follows_from_the_run(run: Path, workload: Any) -> None:
    """Each figure, from the network and the golden machine's bytes."""
    report = simulate(run, MACHINE, 2, build=BUILD)
    assert report == json.loads((run / "sim.json").read_text())
    network = workload.network
    sizes = [tensor.size for tensor in network.tensors.values()][1:]
    macs = sum(network.macs(node) for node in network.nodes)
    logits = fast.run(network, workload.images[:2], logits_only=True)[network.output]
    expected = {
        "machine": "tiny",
        "fingerprint": f"{MACHINE.fingerprint:016x}",
        "network": network.name,
        "images": 2,
        "image_range": [0, 2],
        "tensors": len(sizes),
        "values": 2 * sum(sizes),
        "mismatches": 0,
        "tensor_mismatches": 0,
        "logit_mismatches": {"golden_machine": 0, "golden_layers": 0, "frozen_model": 0},
        "divergence": None,
        "layers": [
            {
                "layer": node.name,
                "tensor": node.output,
                "values": 2 * network.tensors[node.output].size,
                "mismatches": 0,
                "divergence": None,
            }
            for node in network.nodes
        ],
        "macs_per_image": macs,
        "utilisation": macs / (MACHINE.macs_per_cycle * report["cycles_per_image"]),
        "top1": 100 * float((logits.reshape(2, -1).argmax(axis=1) == 3).mean()),
    }
    assert {name: report[name] for name in expected} == expected
    assert report["cycles_per_image"] * 2 == report["cycles"]
    assert 0 < report["mac_cycles_per_image"] < report["cycles_per_image"]
    last = list(report["tensor_sha256"].values())[-1]
    assert last == hashlib.sha256(b"".join(workload.results[:2])).hexdigest()


def test_processes_write_the_same_report(run: Path) -> None:
    """Two processes, each with simulators of its own: all figures but the seconds are equal."""
    alone = simulate(run, MACHINE, 3, build=BUILD)
    together = simulate(run, MACHINE, 3, build=BUILD, workers=Processes(2))
    assert together == json.loads((run / "sim.json").read_text())
    differing = {name for name in alone if alone[name] != together[name]}
    assert differing <= {"seconds", "build_seconds", "simulation_seconds"}
    assert alone.keys() == together.keys()
    assert together["mismatches"] == 0


def test_several_simulators_record_no_waves(run: Path) -> None:
    with pytest.raises(ValueError, match=r"^Waves must be recorded by one simulator, not 2$"):
        simulate(run, MACHINE, 3, waves=True, build=BUILD, workers=Processes(2))


def test_one_logit_of_the_frozen_model_that_differs_is_counted(run: Path, workload: Any) -> None:
    """The comparison with PyTorch's logits is one of its own."""
    logits = safetensors.numpy.load_file(run / "graph" / "test.safetensors")["logits"]
    logits[1, 4] += 1
    write_test_set(run, workload.images, logits)
    report = simulate(run, MACHINE, 2, build=BUILD)
    assert report["mismatches"] == 1
    assert report["logit_mismatches"]["frozen_model"] == 1
    assert report["tensor_mismatches"] == 0


@pytest.mark.parametrize("images", [0, 4, -1])
def test_images_that_are_not_there_are_refused(images: int, run: Path) -> None:
    message = rf"^Images must be in 1..3, the size of the test set, not {images}$"
    with pytest.raises(ValueError, match=message):
        simulate(run, MACHINE, images, build=BUILD)


def test_a_program_for_another_machine_is_refused(run: Path) -> None:
    message = r"^Program must be compiled for demo \(\w{16}\), not tiny \(\w{16}\)$"
    with pytest.raises(ValueError, match=message):
        simulate(run, preset("demo"), 1, build=BUILD)


@pytest.mark.parametrize(
    ("missing", "command"),
    [("program.bin", "tritone compile"), ("graph/test.safetensors", "tritone export")],
)
def test_a_missing_file_is_named_with_its_command(missing: str, command: str, run: Path) -> None:
    (run / missing).unlink()
    message = rf"^Simulation must find .*{missing}; write it with: {command}$"
    with pytest.raises(FileNotFoundError, match=message):
        simulate(run, MACHINE, 1, build=BUILD)


def test_waves_are_recorded_on_request(run: Path) -> None:
    """An FST file with the signals inside the machine, and the same values."""
    try:
        find_toolchain(waves=True)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    report = simulate(run, MACHINE, 1, waves=True, build=BUILD)
    assert report["mismatches"] == 0
    waves = (run / "simulation" / "dump.fst").read_bytes()
    assert waves[0] == 0  # the header block of FST
    assert len(waves) > 10_000
    assert not (run / "simulation" / "dump.vcd").exists()


def test_a_netlist_runs_in_place_of_the_machine(run: Path) -> None:
    """What it is given is simulated, and the report has a name of its own."""
    verilog = emit_verilog(MACHINE)
    report = simulate(run, MACHINE, 1, build=BUILD, netlist=Netlist(name="copy", verilog=verilog))
    assert (report["netlist"], report["mismatches"]) == ("copy", 0)
    assert report == json.loads((run / "sim-copy.json").read_text())
    assert not (run / "sim.json").exists()
    wrong = Netlist(name="wrong", verilog=verilog.replace("module \\tritone.engine ", "module e "))
    with pytest.raises(ValueError, match="must hold the signal write_back_valid"):
        simulate(run, MACHINE, 1, build=BUILD, netlist=wrong)

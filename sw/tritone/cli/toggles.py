# SPDX-License-Identifier: Apache-2.0
"""``tritone bench toggles``: how often a machine's flip-flops change for an image, by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tritone.cli.options import require_path
from tritone.cli.results import put_row
from tritone.cli.results_page import Row
from tritone.compiler import pack_images
from tritone.graph import Convolution, Network
from tritone.spec.program import Program
from tritone.spec.storage import write_json

__all__ = ["add_toggles", "main_codebook", "measure", "toggles_table"]

_KEY = ("network", "codebook", "machine", "fingerprint")
_TABLE = "toggles"


def measure(run: Path, images: int, build: Path, watch: Callable[[str], None]) -> Row:
    """Simulate a run's program and return the row of its toggles; written to run/toggles.json too.

    A row has the mean of the images behind the first: toggles of each block and their sum.

    Parameters
    ----------
    run : folder with program.bin and graph/.
    images : of the test set, two at least.
    build : folder of compiled models.
    watch : is told the stage.

    Raises
    ------
    FileNotFoundError : a file of the run or a tool is missing.
    ValueError : there are not so many images, or too few.
    RuntimeError : the build or the simulation failed, or results are not the golden machine's.
    """
    from tritone_hw.emit import emit_verilog
    from tritone_hw.synthesis.blocks import BLOCKS, block_of
    from tritone_sim.runner import Trace
    from tritone_sim.simulate import load_test_set, machine_model
    from tritone_sim.toggles import measure_toggles

    program = Program.load(require_path(run / "program.bin", f"tritone compile {run}"))
    network = Network.load(run / "graph")
    raw = load_test_set(run / "graph" / "test.safetensors", images)["images"]
    machine = program.machine
    watch("building the simulator")
    model = machine_model(machine, trace=Trace.TOGGLES, build=build)
    watch("simulating")
    found = measure_toggles(
        model, emit_verilog(machine), program, pack_images(raw, program), run / "toggles"
    )
    blocks: Counter[str] = Counter()
    for path, toggles in found.registers.items():
        blocks[block_of(path)] += toggles
    toggles = round(sum(blocks.values()))
    macs = sum(network.macs(node) for node in network.nodes)
    row: Row = {
        "network": network.name,
        "codebook": main_codebook(network),
        "machine": machine.name,
        "fingerprint": f"{machine.fingerprint:016x}",
        "images": found.images,
        "cycles_per_image": found.cycles,
        **{name: round(blocks[name]) for name in BLOCKS},
        "toggles": toggles,
        "toggles_per_mac": round(toggles / macs, 3),
    }
    write_json(run / "toggles.json", row)
    return row


def main_codebook(network: Network) -> str:
    """Return the codebook of the layers that do most of the work."""
    macs: Counter[str] = Counter()
    for node in network.nodes:
        if isinstance(node, Convolution):
            macs[node.codebook] += network.macs(node)
    return max(macs, key=lambda name: macs[name])


def add_toggles(row: Row, results: Path, command: str) -> Path:
    """Add a row to ``results/toggles.json``, in place of one of the same network and machine."""
    table = results / f"{_TABLE}.json"
    put_row(table, {**row, "command": command}, _KEY)
    return table


def toggles_table(row: Mapping[str, Any]) -> Group:
    """Return the table of a row: toggles of each block, and their share."""
    from tritone_hw.synthesis.blocks import BLOCKS

    table = Table()
    for name in ("block", "toggles an image", "share"):
        table.add_column(name, justify="left" if name == "block" else "right", no_wrap=True)
    for name in (*BLOCKS, "toggles"):
        share = f"{100 * row[name] / max(row['toggles'], 1):.1f} %"
        table.add_row("all" if name == "toggles" else name, f"{row[name]:,}", share)
    title = f"{row['network']}, {row['codebook']}, on {row['machine']}: a proxy for power"
    per_mac = f"{row['toggles_per_mac']} toggles for each multiply-accumulate of the network"
    return Group(Text(title, style="bold"), table, Text(per_mac))

# SPDX-License-Identifier: Apache-2.0
"""tritone.cli.peers: rows of the comparison; ``tritone bench hw`` measures them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tritone.cli import peers
from tritone.cli.app import main
from tritone.cli.results import read_rows
from tritone.spec.area import Area
from tritone.spec.device import Device, device
from tritone.spec.machine import MachineConfig
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.mapping import Mapping


def compared(machine: str, **changes: Any) -> dict[str, Any]:
    """Return what a measurement of ``bench hw`` gives."""
    row = {
        "machine": machine,
        "codebook": "int4",
        "device": "xc7-a100t",
        "macs_per_cycle": 144,
        "cycles_per_image": 20000,
        "utilisation": 0.8192,
        "single_shot_cycles": 20000,
        "single_shot_utilisation": 0.8192,
        "sites": 28800,
        "sites_per_mac": 200.0,
        "ff": 5,
        "bram": 2.5,
        "dsp": 0,
        "values": 16384,
        "mismatches": 0,
        "seconds": 1.5,
        "tool_versions": ["yosys 1"],
    }
    return row | changes


def test_bench_hw_adds_both_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Options reach both measurements; the rows go into the table of hardware."""
    monkeypatch.chdir(tmp_path)
    asked: list[Any] = []

    def peer(bits: int, where: Device, build: Path, watch: Any) -> dict[str, Any]:
        asked.append((bits, where.name, build))
        return compared("peer")

    def ours(shape: MachineConfig, maps: int, where: Device, *rest: Any) -> dict[str, Any]:
        asked.append((shape.name, maps, where.name))
        return compared("ours", sites=1234)

    monkeypatch.setattr(peers, "measure_peer", peer)
    monkeypatch.setattr(peers, "measure_ours", ours)
    options = ["--machine", "tiny", "--bits", "8", "--maps", "3", "--results", "tables"]
    assert main(["bench", "hw", *options]) == 0
    assert asked == [(8, "xc7-a100t", Path("build")), ("tiny", 3, "xc7-a100t")]
    rows = {row["machine"]: row for row in read_rows(Path("tables/hardware.json"))}
    assert {name: row["sites"] for name, row in rows.items()} == {"peer": 28800, "ours": 1234}
    assert rows["ours"]["source"] == (
        "tritone bench hw --machine tiny --bits 8 --maps 3 --target xc7-a100t --results tables"
    )
    assert "28,800" in capsys.readouterr().out
    monkeypatch.setattr(peers, "measure_peer", lambda *_: compared("peer", mismatches=1))
    assert main(["bench", "hw", *options]) == 1


def test_rows_with_mismatches_are_no_result(tmp_path: Path) -> None:
    rows = [compared("peer"), compared("ours", mismatches=2)]
    with pytest.raises(ValueError, match=r"^Comparison must have no mismatches, not 2$"):
        peers.add_comparison(rows, tmp_path, "command")
    assert list(tmp_path.iterdir()) == []


def test_area_and_use_of_a_row() -> None:
    """The serial port of the tools is no part of the machine; NNgen's has no blocks but that."""
    figures = {"machine": "m", "codebook": "c", "single": 400, "values": 1, "mismatches": 0}
    blocks = {"array": Area(sites=30, ff=2), "ports": Area(sites=10), WRAPPER: Area(sites=7)}
    place = device("xc7-a100t")
    for held, sites in ((blocks, 40), ({WRAPPER: Area(sites=7)}, 7)):
        mapped = Mapping(folder=Path(), blocks=held, seconds=1.0)
        row = peers._row(mapped, place, lanes=20, macs=4000, cycles=250.0, **figures)
        assert (row["sites"], row["sites_per_mac"]) == (sites, sites / 20)
        assert (row["utilisation"], row["single_shot_utilisation"]) == (0.8, 0.5)

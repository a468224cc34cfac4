# SPDX-License-Identifier: Apache-2.0
"""tritone.cli.bitstream: the report beside a bitstream; tests/hw/synthesis makes a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.bitstream import bitstream
from tritone.cli.hardware_results import add_synthesis
from tritone.graph import Network
from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.board.catalog import Board
from tritone_hw.synthesis import bitstream as flow
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.flow import Synthesis
from tritone_hw.synthesis.placement import Placement


def test_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_operator: Network
) -> None:
    """It is one that ``tritone report`` takes, with the board for its device and its clock."""
    tiny = preset("tiny")
    path = tmp_path / "board" / "tiny-ulx3s_85f.bit"
    path.parent.mkdir()
    path.write_bytes(bytes(1234))

    def make(machine: Any, board: Board, **arguments: Any) -> flow.Bitstream:
        """What the tools would have found."""
        assert (machine, board.name, list(arguments["seeds"])) == (tiny, "ulx3s_85f", [1, 2])
        placed = Placement(seed=2, fmax_mhz=40.0, area=Area(sites=9000, bram=60), seconds=9.0)
        synthesis = Synthesis(
            machine=tiny,
            device=device("ecp5-85k"),
            blocks={"array": Area(sites=5000, ff=100), WRAPPER: Area(sites=1000, ff=9, bram=34)},
            mapping_seconds=1.0,
            placements=(placed,),
            tool_versions=("one 1",),
        )
        return flow.Bitstream(path=path, clock_hz=25_000_000, synthesis=synthesis)

    monkeypatch.setattr(flow, "make_bitstream", make)
    every_operator.save(tmp_path / "run" / "graph")
    written, report = bitstream(tiny, "ulx3s_85f", tmp_path / "run", (1, 2), tmp_path)
    assert written == path.with_suffix(".json")
    assert json.loads(written.read_text()) == report
    assert (report["device"], report["clock_mhz"], report["fmax_mhz"]) == ("ulx3s_85f", 25, 40)
    assert (report["sites"], report["bram"], report["wrapper"]["bram"]) == (8000, 26, 34)
    assert (report["bitstream"], report["bitstream_bytes"]) == (str(path), 1234)
    assert report["memory_bytes"] == 65536
    assert report["fps"] == round(25e6 / report["cycles_per_image"])
    (table,) = add_synthesis(written, tmp_path / "results", "make bitstream")
    (row,) = json.loads(table.read_text())
    assert (row["device"], row["machine"], row["sites"]) == ("ulx3s_85f", "tiny", 8000)
    _, report = bitstream(tiny, "ulx3s_85f", None, (1, 2), tmp_path)
    assert (report["cycles_per_image"], report["fps"]) == (None, None)

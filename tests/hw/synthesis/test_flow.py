# SPDX-License-Identifier: Apache-2.0
"""A design is mapped block by block, once; what does not fit is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.loadable_memory import LoadableMemory
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.flow import Synthesis, map_component, require_fit
from tritone_hw.synthesis.placement import Placement


class Inner(Component):
    """A machine of a counter in its registers, a memory in its engine, and a pipeline register."""

    def __init__(self) -> None:
        super().__init__({"step": In(7), "at": In(9), "out": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = Module()
        count = Signal(24)
        registers.d.sync += count.eq(count + self.step)
        m.submodules.engine = engine = Module()
        engine.submodules.weight_memory = memory = LoadableMemory(64, 512)
        held = Signal(8)
        engine.d.sync += held.eq(memory.word[:8])
        m.d.comb += [
            memory.address.eq(self.at),
            memory.write.valid.eq(1),
            memory.write.payload.data.eq(count),
            self.out.eq(Cat(held, count)),
        ]
        return m


class Design(Component):
    """Inner with a flip-flop at each of its inputs."""

    def __init__(self) -> None:
        super().__init__({"step": In(7), "at": In(9), "out": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = inner = Inner()
        m.d.sync += [inner.step.eq(self.step), inner.at.eq(self.at)]
        m.d.comb += self.out.eq(inner.out)
        return m


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


def test_what_does_not_fit() -> None:
    """What is short is named with what there is, and a device that has enough."""
    tiny = preset("tiny")
    require_fit(tiny, device("ecp5-25k"), Area(sites=24_288, bram=56))
    message = re.escape(
        "Machine tiny must fit ecp5-25k, not need 30,000 sites (it has 24,288), 57 bram (it has "
        "56); ecp5-85k has enough"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        require_fit(tiny, device("ecp5-25k"), Area(sites=30_000, bram=57))
    message = r"not need 6,000 sites \(it has 5,280\); take a machine of fewer rows, columns or"
    with pytest.raises(ValueError, match=message):
        require_fit(tiny, device("ice40up5k"), Area(sites=6_000))

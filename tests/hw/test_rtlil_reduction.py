# SPDX-License-Identifier: Apache-2.0
"""Smaller RTLIL, by hand and from Amaranth, that means the same."""

from __future__ import annotations

import re
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from tritone_hw.rtlil_reduction import merge_modules, purge_wires

# Two pairs of modules: the outer ones are equal only when the inner ones have been merged.
TWINS = r"""
attribute \generator "x"
module \top
  cell \outer_a $1
    connect \i \x
  end
  cell \outer_b $2
    connect \i \x
  end
end

module \outer_a
  cell \inner_a $1
  end
end

attribute \generator "x"
module \outer_b
  cell \inner_b $1
  end
end

module \inner_a
  wire width 1 input 0 \i
end

module \inner_b
  wire width 1 input 0 \i
end

module \other
  wire width 2 input 0 \i
end
"""

# chain1 is read by chain0 alone and chain0 by nobody; part is read by half of a concatenation.
UNREAD = r"""
module \top
  wire width 4 input 0 \a
  wire width 4 output 1 \y
  wire width 4 \kept
  attribute \init 4'0000
  wire width 4 \chain0
  wire width 4 \chain1
  wire width 0 \nothing
  wire width 2 \part
connect \chain1 \a
connect \chain0 \chain1
connect \nothing { }
connect \kept \a
connect \part \a [1:0]
connect \y { \kept [3:2] \part }
end
"""


def modules(text: str) -> list[str]:
    """Return the names of the modules."""
    return re.findall(r"^module \\(\S+)", text, re.MULTILINE)


def test_equal_modules_become_one() -> None:
    """To a fixed point, with the first name; other modules and the number of cells stay."""
    merged = merge_modules(TWINS)
    assert modules(merged) == ["top", "outer_a", "inner_a", "other"]
    assert re.findall(r"cell \\(\S+) ", merged) == ["outer_a", "outer_a", "inner_a"]
    assert merge_modules(merged) == merged


def test_unread_wires_go() -> None:
    """With what gave them a value and their attributes; everything else stays."""
    purged = purge_wires(UNREAD)
    assert [line for line in purged.splitlines() if line] == [
        line for line in UNREAD.splitlines() if line and not re.search("chain|nothing|init", line)
    ]


class Part(Component):
    """A register behind records, so that there are fields which nobody reads."""

    def __init__(self) -> None:
        layout = StructLayout({"low": 3, "high": 5})
        super().__init__({"i": In(layout), "o": Out(layout)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        held = Signal(self.i.shape())
        m.d.sync += held.eq(self.i)
        m.d.comb += [self.o.low.eq(held.high ^ held.low), self.o.high.eq(held.low + self.i.high)]
        return m


class Parts(Component):
    """Parts, some of them equal and all in use."""

    def __init__(self) -> None:
        super().__init__({"i": In(unsigned(8)), "o": Out(unsigned(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        value = self.i
        for index in range(3):
            m.submodules[f"part{index}"] = part = Part()
            m.d.comb += part.i.as_value().eq(value)
            value = part.o.as_value()
        m.d.comb += self.o.eq(value)
        return m


def test_amaranth_design_keeps_what_matters() -> None:
    """Ports, registers, operators and instances stay; only names that nobody reads go."""
    text = rtlil.convert(Parts(), name="top", emit_src=False)
    purged = purge_wires(text)
    assert modules(purged) == modules(text)
    gone = set(text.splitlines()) - set(purged.splitlines())
    assert gone
    assert all(re.match(r"  wire width \d+ +\\|connect \\", line) for line in gone)
    assert not any(".low" in line or ".high" in line for line in purged.splitlines())
    for kind in (
        r"^  cell ",
        r"^  wire width \d+ (?:input|output)",
        r"^  process ",
        r"^    connect ",
    ):
        assert len(re.findall(kind, purged, re.M)) == len(re.findall(kind, text, re.M)) > 0
    # Amaranth names the input of the first part otherwise.
    assert modules(merge_modules(purged)) == ["top", "top.part0", "top.part1"]

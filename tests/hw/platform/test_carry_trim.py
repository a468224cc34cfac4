# SPDX-License-Identifier: Apache-2.0
"""Trimmed carry chains: the sums of a netlist stay, whatever comes in at their open ends."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

import pytest

from tritone_hw.platform.carry_trim import TrimReport, trim_carries

# As yosys maps a + b: with C = 0 and D = 1 A xor B, and for what generates the carry, C = D = 0, A.
ADD = f"{0x96AA:016b}"
PINS = "ABCD"


def cell(index: int, inputs: list[Any], sums: list[Any], carry: Any, out: Any) -> dict[str, Any]:
    """Return a CCU2C of two bits of a sum, table ADD over the pins A and B."""
    connections = {"CIN": [carry], "COUT": [out]}
    for number in range(2):
        for pin, bit in zip(PINS, (*inputs[2 * number : 2 * number + 2], "0", "1"), strict=True):
            connections[f"{pin}{number}"] = [bit]
        if sums[number] is not None:
            connections[f"S{number}"] = [sums[number]]
    directions = dict.fromkeys(connections, "input")
    directions |= dict.fromkeys(("COUT", "S0", "S1"), "output")
    return {
        "type": "CCU2C",
        "parameters": {
            "INIT0": ADD,
            "INIT1": ADD,
            "INJECT1_0": "NO",
            "INJECT1_1": "NO",
        },
        "attributes": {},
        "port_directions": directions,
        "connections": connections,
    }


def adder(bits: int, carry: str, reads_carry: bool = False) -> dict[str, Any]:
    """Return a netlist of a + b + carry of ``bits`` bits; nets from 2 on are a, b, then sums."""
    a, b = (list(range(start, start + bits)) for start in (2, 100))
    sums, carries = list(range(200, 200 + bits)), list(range(300, 300 + bits))
    cells = {}
    for low in range(0, bits, 2):
        inputs, outputs = [], []
        for place in (low, low + 1):
            inputs += [a[place], b[place]] if place < bits else ["0", "0"]
            outputs.append(sums[place] if place < bits else None)
        into = carry if low == 0 else carries[low - 2]
        cells[f"add{low}"] = cell(low, inputs, outputs, into, carries[low])
    ports = {
        "a": {"direction": "input", "bits": a},
        "b": {"direction": "input", "bits": b},
        "y": {"direction": "output", "bits": sums},
    }
    if reads_carry:
        ports["c"] = {"direction": "output", "bits": [carries[(bits - 1) // 2 * 2]]}
    return {"modules": {"top": {"ports": ports, "cells": cells}}}


def evaluate(netlist: dict[str, Any], a: int, b: int, open_carry: int) -> int:
    """Return y, by what the data sheet says of LUT4 and CCU2C; open carry inputs have a value."""
    module = netlist["modules"]["top"]
    nets: dict[Any, int] = {"0": 0, "1": 1, "x": open_carry}
    for port, value in (("a", a), ("b", b)):
        for place, net in enumerate(module["ports"][port]["bits"]):
            nets[net] = value >> place & 1
    waiting = list(module["cells"].values())
    while waiting:
        each = waiting.pop(0)
        pins = each["connections"]
        needed = [bits[0] for pin, bits in pins.items() if each["port_directions"][pin] == "input"]
        if any(net not in nets for net in needed):
            waiting.append(each)
            continue
        if each["type"] == "LUT4":
            index = sum(nets[pins[pin][0]] << n for n, pin in enumerate(PINS))
            nets[pins["Z"][0]] = int(each["parameters"]["INIT"], 2) >> index & 1
            continue
        carry = nets[pins["CIN"][0]]
        for number in range(2):
            init = int(each["parameters"][f"INIT{number}"], 2)
            values = [nets[pins[f"{pin}{number}"][0]] for pin in PINS]
            propagates = init >> sum(bit << n for n, bit in enumerate(values)) & 1
            generates = init >> sum(bit << n for n, bit in enumerate(values[:2])) & 1
            if f"S{number}" in pins:
                nets[pins[f"S{number}"][0]] = propagates ^ carry
            carry = carry if propagates else generates
        if pins["COUT"] != ["x"]:
            nets[pins["COUT"][0]] = carry
    return sum(nets[net] << place for place, net in enumerate(module["ports"]["y"]["bits"]))


@pytest.mark.parametrize("carry", ["0", "1"])
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_sums_stay(bits: int, carry: str) -> None:
    """a + b + carry before and after, for open carries of 0 and of 1."""
    before = adder(bits, carry)
    after = deepcopy(before)
    trim_carries(after)
    rng = random.Random(bits)
    for _ in range(60):
        a, b = rng.getrandbits(bits), rng.getrandbits(bits)
        expected = (a + b + int(carry)) % (1 << bits)
        assert evaluate(before, a, b, 0) == expected
        assert [evaluate(after, a, b, each) for each in range(2)] == [expected] * 2


def test_cells_are_counted() -> None:
    """An even sum gives its first bit to a LUT4; an odd one has room for the half that forces the
    carry, and so has one with a carry in at the cost of a cell."""
    assert trim_carries(adder(8, "0")) == TrimReport(1, 4, 4, 1)
    assert trim_carries(adder(7, "0")) == TrimReport(1, 4, 4, 0)
    assert trim_carries(adder(8, "1")) == TrimReport(1, 4, 5, 0)


def test_ends_are_open() -> None:
    """The first carry in and the last carry out of a chain are connected to nothing."""
    netlist = adder(6, "0")
    trim_carries(netlist)
    cells = netlist["modules"]["top"]["cells"].values()
    chain = [each for each in cells if each["type"] == "CCU2C"]
    assert sum(each["connections"]["CIN"] == ["x"] for each in chain) == 1
    assert sum(each["connections"]["COUT"] == ["x"] for each in chain) == 1


def test_a_carry_that_is_read_stays() -> None:
    """Its chain is left as it is."""
    netlist = adder(6, "0", reads_carry=True)
    before = deepcopy(netlist)
    assert trim_carries(netlist) == TrimReport(0, 3, 3, 0)
    assert netlist == before

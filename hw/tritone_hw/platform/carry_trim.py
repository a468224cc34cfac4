# SPDX-License-Identifier: Apache-2.0
"""Takes cells that carry nothing off the carry chains of an ECP5 netlist.

nextpnr puts a CCU2C in front of every chain, which feeds its constant carry in, and one behind it,
which feeds its carry out to nothing: 4 cells a chain. A chain whose first half forces the carry by
itself needs neither, and half as much where its first bit is a plain sum, which a LUT4 then gives.
The carry in of such a chain is left open: the first half generates or kills the carry whatever
comes in. That is a netlist that synthesis could have written, not one changed behind its back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["TrimReport", "trim_carries"]

Bit = int | str
Cell = dict[str, Any]

_PINS = "ABCD"
_NOTHING = "0" * 16


@dataclass(frozen=True)
class TrimReport:
    """Chains rewritten, CCU2C before and after, LUT4 added."""

    chains: int
    before: int
    after: int
    luts: int


@dataclass
class _Half:
    """Half of a CCU2C: inputs A to D, table, and where its sum goes if anything reads it."""

    pins: list[Bit]
    init: str
    sum: Bit | None

    def table(self, values: list[int]) -> int:
        """Return what its LUT4 gives."""
        return int(self.init, 2) >> sum(bit << n for n, bit in enumerate(values)) & 1


# Propagates nothing and generates nothing, or a carry: C makes the LUT4 one that is 0 for D = 0.
_KILL = _Half(["0", "0", "1", "0"], _NOTHING, None)
_GENERATE = _Half(["0", "0", "1", "0"], f"{0xF:016b}", None)
_SPARE = _Half(["0", "0", "0", "0"], _NOTHING, None)


def trim_carries(netlist: dict[str, Any]) -> TrimReport:
    """Rewrite the chains of all modules of a netlist, JSON as yosys writes it, in place.

    A chain whose carry out is read by logic stays as it is.
    """
    chains = before = after = luts = 0
    for module in netlist["modules"].values():
        cells = module["cells"]
        before += _count(cells)
        trimmer = _Trimmer(module)
        for chain in list(_chains(cells, trimmer.readers)):
            rewritten, added = trimmer.rewrite(chain)
            chains += rewritten
            luts += added
        after += _count(cells)
    return TrimReport(chains, before, after, luts)


def _count(cells: dict[str, Cell]) -> int:
    return sum(cell["type"] == "CCU2C" for cell in cells.values())


def _pin(cell: Cell, name: str) -> Bit | None:
    bits = cell["connections"].get(name)
    return bits[0] if bits else None


def _chains(cells: dict[str, Cell], readers: Counter[Bit]) -> Iterator[list[str]]:
    """Yield the names of the cells of each chain, the lowest one first."""
    carries = {name: cell for name, cell in cells.items() if cell["type"] == "CCU2C"}
    following = {_pin(cell, "CIN"): name for name, cell in carries.items()}
    for name, cell in carries.items():
        if isinstance(_pin(cell, "CIN"), int):
            continue
        chain = [name]
        while True:
            carry = _pin(carries[chain[-1]], "COUT")
            if not isinstance(carry, int) or carry not in following or readers[carry] != 1:
                break
            chain.append(following[carry])
        if not readers[_pin(carries[chain[-1]], "COUT") or "x"]:
            yield chain


class _Trimmer:
    """Rewrites the chains of a module."""

    def __init__(self, module: dict[str, Any]) -> None:
        self._cells: dict[str, Cell] = module["cells"]
        self.readers: Counter[Bit] = Counter()
        nets: list[Bit] = [0]
        for cell in self._cells.values():
            for port, bits in cell["connections"].items():
                nets += [bit for bit in bits if isinstance(bit, int)]
                if cell["port_directions"][port] != "output":
                    self.readers.update(bit for bit in bits if isinstance(bit, int))
        for port in module["ports"].values():
            nets += [bit for bit in port["bits"] if isinstance(bit, int)]
            if port["direction"] != "input":
                self.readers.update(bit for bit in port["bits"] if isinstance(bit, int))
        self._last_net = max(bit for bit in nets if isinstance(bit, int))

    def rewrite(self, chain: list[str]) -> tuple[int, int]:
        """Return 1 if the chain has been rewritten, and the LUT4s that were added."""
        carry_in = _pin(self._cells[chain[0]], "CIN")
        halves = [self._half(name, number) for name in chain for number in range(2)]
        while halves and halves[-1].sum is None:
            halves.pop()
        if not halves:
            return 0, 0
        luts = 0
        lowest = halves[0]
        live = [n for n, pin in enumerate(lowest.pins) if isinstance(pin, int)]
        if carry_in != "1" and len(halves) % 2 == 0 and len(live) <= 2:
            # The first bit as a LUT4; in its place only what it carries.
            halves[0], table = _generate_only(lowest, live)
            if lowest.sum is not None:
                self._add_lut(f"{chain[0]}$sum", lowest, live, table)
                luts = 1
        else:
            halves.insert(0, _GENERATE if carry_in == "1" else _KILL)
        if len(halves) % 2:
            halves.append(_SPARE)
        for name in chain:
            del self._cells[name]
        self._add_chain(chain[0], halves)
        return 1, luts

    def _half(self, name: str, number: int) -> _Half:
        cell = self._cells[name]
        total = _pin(cell, f"S{number}")
        return _Half(
            [_pin(cell, f"{pin}{number}") or "0" for pin in _PINS],
            cell["parameters"][f"INIT{number}"],
            total if isinstance(total, int) and self.readers[total] else None,
        )

    def _add_lut(self, name: str, half: _Half, live: list[int], table: int) -> None:
        pins: list[Bit] = [half.pins[n] for n in live] + ["0"] * (4 - len(live))
        self._cells[name] = {
            "hide_name": 1,
            "type": "LUT4",
            "parameters": {"INIT": f"{table:016b}"},
            "attributes": {},
            "port_directions": dict.fromkeys(_PINS, "input") | {"Z": "output"},
            "connections": {pin: [bit] for pin, bit in zip(_PINS, pins, strict=True)}
            | {"Z": [half.sum]},
        }

    def _add_chain(self, name: str, halves: list[_Half]) -> None:
        carry: Bit = "x"
        for index in range(0, len(halves), 2):
            pair = halves[index : index + 2]
            connections = {"CIN": [carry]}
            directions = {"CIN": "input", "COUT": "output", "S0": "output", "S1": "output"}
            for number, half in enumerate(pair):
                for pin, bit in zip(_PINS, half.pins, strict=True):
                    connections[f"{pin}{number}"] = [bit]
                    directions[f"{pin}{number}"] = "input"
                if half.sum is not None:
                    connections[f"S{number}"] = [half.sum]
            carry = "x"
            if index + 2 < len(halves):
                self._last_net += 1
                carry = self._last_net
            connections["COUT"] = [carry]
            self._cells[f"{name}$trimmed{index}"] = {
                "hide_name": 1,
                "type": "CCU2C",
                "parameters": {"INJECT1_0": "NO", "INJECT1_1": "NO"}
                | {f"INIT{number}": half.init for number, half in enumerate(pair)},
                "attributes": {},
                "port_directions": directions,
                "connections": connections,
            }


def _generate_only(half: _Half, live: list[int]) -> tuple[_Half, int]:
    """Return a half that carries what ``half`` does with carry in 0, and the LUT4 of its sum.

    The LUT4's inputs are those of the ``live`` pins. The carry of a half whose LUT4 gives 0 is what
    the table gives for C = D = 0.
    """
    table = generate = 0
    for number in range(4):
        values = [0 if isinstance(pin, int) or pin == "x" else int(pin) for pin in half.pins]
        for place, pin in enumerate(live):
            values[pin] = number >> place & 1
        propagates = half.table(values)
        carries = not propagates and half.table([*values[:2], 0, 0])
        generate |= carries << number
        table |= propagates << number
    full = sum((table >> (number & 3) & 1) << number for number in range(16))
    pins: list[Bit] = [half.pins[n] for n in live] + ["0"] * (2 - len(live))
    return _Half([*pins, "1", "0"], f"{generate:016b}", None), full

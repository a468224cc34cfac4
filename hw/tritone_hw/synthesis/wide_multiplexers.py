# SPDX-License-Identifier: Apache-2.0
"""Multiplexers of 4, 8 and 16 inputs in the slices of an ECP5.

Behind its lookup tables a slice has multiplexers that cost nothing: two LUT4 and a PFUMX choose
one of four, where abc9 takes three LUT4, and L6MUX21 joins these to eight and sixteen. Before abc9
runs, trees of multiplexers become such cells; the 2:1 multiplexers at their leaves stay logic, so
that a leaf takes in what its LUT4 has an input left for. Now and then abc9 makes something else
than a LUT4 of a leaf: then ``close_leaves`` puts one there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["COVER_TREES", "FORM_TREES", "close_leaves", "count_leaves"]

# A choice of whole words by a number is a $pmux of comparisons for yosys, an AND-OR that no
# multiplexer covers. It is a tree where all the numbers are there; codes of a state machine, which
# are narrow, are smaller as they were.
FORM_TREES = (
    "proc",
    "flatten",
    "opt_expr",
    "opt_clean",
    "opt -nodffe -nosdff",
    "pmux2shiftx -norange -min_density 100 -min_choices 4 t:$pmux r:WIDTH>=8 %i",
    "opt_clean",
)

_CELLS = "wide_multiplexers"
_MAP = r"""
module \$_MUX4_ (input A, B, C, D, S, T, output Y);
  wire low, high;
  \$_MUX_ m0 (.A(A), .B(B), .S(S), .Y(low));
  \$_MUX_ m1 (.A(C), .B(D), .S(S), .Y(high));
  PFUMX m (.BLUT(low), .ALUT(high), .C0(T), .Z(Y));
endmodule
module \$_MUX8_ (input A, B, C, D, E, F, G, H, S, T, U, output Y);
  wire low, high;
  \$_MUX4_ m0 (.A(A), .B(B), .C(C), .D(D), .S(S), .T(T), .Y(low));
  \$_MUX4_ m1 (.A(E), .B(F), .C(G), .D(H), .S(S), .T(T), .Y(high));
  L6MUX21 m (.D0(low), .D1(high), .SD(U), .Z(Y));
endmodule
module \$_MUX16_ (input A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, S, T, U, V, output Y);
  wire low, high;
  \$_MUX8_ m0 (.A(A), .B(B), .C(C), .D(D), .E(E), .F(F), .G(G), .H(H), .S(S), .T(T), .U(U),
    .Y(low));
  \$_MUX8_ m1 (.A(I), .B(J), .C(K), .D(L), .E(M), .F(N), .G(O), .H(P), .S(S), .T(T), .U(U),
    .Y(high));
  L6MUX21 m (.D0(low), .D1(high), .SD(V), .Z(Y));
endmodule
"""

# Only full trees: what lacks inputs, a shift that fills up with zeros for one, abc9 makes smaller.
COVER_TREES = (
    "opt_expr -mux_bool",
    "muxcover -mux4 -mux8 -mux16 -nodecode -nopartial",
    "design -push",
    f"read_verilog -icells <<map{_MAP}map",
    f"design -stash {_CELLS}",
    "design -pop",
    f"techmap -map %{_CELLS}",
    "clean",
)

_PASS, _ZERO, _ONE = (f"{init:016b}" for init in (0xAAAA, 0, 0xFFFF))
_PINS = "ABCD"


def close_leaves(netlist: dict[str, Any]) -> list[str]:
    """Give each PFUMX of a netlist, JSON as yosys writes it, two LUT4 of its own, in place.

    nextpnr packs nothing else. A LUT4 that another reader has too is copied, anything else passes
    through a new one.

    Returns
    -------
    The names of the cells that were added.

    Raises
    ------
    ValueError : an L6MUX21 has something else than multiplexers of slices below it.
    """
    added: list[str] = []
    for module in netlist["modules"].values():
        cells = module["cells"]
        drivers = {
            bit: name
            for name, cell in cells.items()
            for pin, bits in cell["connections"].items()
            if cell["port_directions"].get(pin) == "output"
            for bit in bits
        }
        readers = _readers(module)
        free = max((bit for bit in (*drivers, *readers) if isinstance(bit, int)), default=1) + 1
        for name, cell in list(cells.items()):
            pins = cell["connections"]
            if cell["type"] == "L6MUX21":
                for pin in ("D0", "D1"):
                    below = cells.get(drivers.get(pins[pin][0], ""), {"type": "no cell"})["type"]
                    if below not in ("PFUMX", "L6MUX21"):
                        raise ValueError(f"{pin} of {name} must be a multiplexer's, not of {below}")
            if cell["type"] != "PFUMX":
                continue
            for pin in ("ALUT", "BLUT"):
                bit = pins[pin][0]
                driver = cells.get(drivers.get(bit, ""))
                table = driver is not None and driver["type"] == "LUT4"
                if table and readers[bit] == 1:
                    continue
                leaf = f"{name}_{pin}_LUT4"
                cells[leaf] = _copy(driver, free) if table else _passing(bit, free)
                readers[bit] -= 1
                pins[pin] = [free]
                free += 1
                added.append(leaf)
    return added


def count_leaves(statistics: dict[str, Any], top: str, added: list[str]) -> None:
    """Add cells of the flat netlist to what yosys counted of their modules, in place.

    Parameters
    ----------
    statistics : what ``stat -json`` wrote.
    top : the top module, whose name the modules' names begin with.
    added : cells, all LUT4.
    """
    modules = {name.lstrip("\\"): value for name, value in statistics["modules"].items()}
    for cell in added:
        path = f"{top}." + cell.removeprefix("$flatten").replace("\\", "")
        while path not in modules:
            path = path.rpartition(".")[0]
        kinds = modules[path]["num_cells_by_type"]
        kinds["LUT4"] = kinds.get("LUT4", 0) + 1


def _readers(module: Mapping[str, Any]) -> Counter[int | str]:
    """Return how many pins and ports read each bit."""
    readers: Counter[int | str] = Counter()
    for cell in module["cells"].values():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"].get(pin) != "output":
                readers.update(bits)
    for port in module["ports"].values():
        if port["direction"] != "input":
            readers.update(port["bits"])
    return readers


def _copy(cell: Mapping[str, Any], output: int) -> dict[str, Any]:
    """Return a LUT4 of the same inputs with another output."""
    return {**cell, "connections": {**cell["connections"], "Z": [output]}}


def _passing(bit: int | str, output: int) -> dict[str, Any]:
    """Return a LUT4 that gives ``bit``."""
    constant = not isinstance(bit, int)
    init = (_ONE if bit == "1" else _ZERO) if constant else _PASS
    inputs: dict[str, list[int | str]] = {pin: ["0"] for pin in _PINS}
    if not constant:
        inputs["A"] = [bit]
    return {
        "hide_name": 0,
        "type": "LUT4",
        "parameters": {"INIT": init},
        "attributes": {},
        "port_directions": dict.fromkeys(_PINS, "input") | {"Z": "output"},
        "connections": {**inputs, "Z": [output]},
    }

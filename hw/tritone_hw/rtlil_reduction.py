# SPDX-License-Identifier: Apache-2.0
"""Makes Amaranth's RTLIL smaller without changing what it means.

Amaranth writes a module for every instance of a component and a wire for every field of every
record. Neither is wrong, but the text of a machine of 16 x 16 x 4 shrinks to a fifth without them,
and so does the work of every tool that reads it.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["merge_modules", "purge_wires"]

_MODULE = re.compile(
    r"(?:^attribute [^\n]*\n)*^module (?P<name>\S+)\n(?P<body>.*?)^end\n+", re.M | re.S
)
_CELL = re.compile(r"^(?P<head>\s+cell )(?P<kind>\\\S+)", re.M)
_WIRE = re.compile(r"\s+wire width \d+ (?P<port>(?:input|output|inout) \d+ )? *(?P<name>\S+)")
_ALIAS = re.compile(r"connect (?P<name>[\\$]\S+) (?!\[)(?P<value>.*)")
_NAME = re.compile(r"[\\$]\S+")


def merge_modules(text: str) -> str:
    """Return the design with one module in place of all that have equal bodies.

    Modules that differ only in which of several equal modules they instantiate become equal in
    their turn, so this goes on until nothing changes. The first module of a kind gives the name.
    """
    while True:
        kinds: dict[str, str] = {}
        names = {
            match["name"]: kinds.setdefault(match["body"], match["name"])
            for match in _MODULE.finditer(text)
        }
        if len(kinds) == len(names):
            return text
        text = _rename(text, names)


def _rename(text: str, names: dict[str, str]) -> str:
    """Return the design with only the modules that keep their name, instantiated by that name."""
    text = _MODULE.sub(lambda m: m[0] if names[m["name"]] == m["name"] else "", text)
    return _CELL.sub(lambda m: m["head"] + names.get(m["kind"], m["kind"]), text)


def purge_wires(text: str) -> str:
    """Return the design without wires that are given a value and never read."""
    return _MODULE.sub(lambda match: _purge_module(match[0]), text)


def _purge_module(text: str) -> str:
    """Return a module without its unread wires."""
    lines = [line for line in text.splitlines() if line]
    wires: dict[str, int] = {}
    aliases: dict[str, int] = {}
    reads: Counter[str] = Counter()
    for number, line in enumerate(lines):
        if wire := _WIRE.fullmatch(line):
            if wire["port"]:
                reads[wire["name"]] += 1
            wires[wire["name"]] = number
        elif alias := _ALIAS.fullmatch(line):
            aliases[alias["name"]] = number
            reads.update(_NAME.findall(alias["value"]))
        else:
            reads.update(_NAME.findall(line))

    dropped = set()
    unread = [name for name in wires if name in aliases and not reads[name]]
    while unread:
        name = unread.pop()
        dropped.update((wires[name], aliases[name]))
        above = wires[name] - 1
        while lines[above].lstrip().startswith("attribute "):
            dropped.add(above)
            above -= 1
        for source in _NAME.findall(_ALIAS.fullmatch(lines[aliases[name]])["value"]):
            reads[source] -= 1
            if not reads[source] and source in wires and source in aliases:
                unread.append(source)
    kept = [line for number, line in enumerate(lines) if number not in dropped]
    return "\n".join(kept) + "\n\n"

# SPDX-License-Identifier: Apache-2.0
"""The specification as text: Markdown for people, a C header for a host's driver.

``python -m tritone.spec.render docs/reference.md`` writes the Markdown (``make docs``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import Enum, IntEnum
from pathlib import Path

from tritone.spec.array_code import ARRAY_CODES
from tritone.spec.catalog import CATALOG
from tritone.spec.codebook import Codebook
from tritone.spec.host_link import (
    END,
    ESCAPE,
    ESCAPED,
    IDENTITY,
    LINK_VERSION,
    MAX_BEATS,
    Answer,
    Operation,
)
from tritone.spec.host_link import HEADER as FRAME_HEADER
from tritone.spec.isa import (
    CHECK,
    HALF_PARAMETER,
    HEADER,
    INSTRUCTION_BEATS,
    INSTRUCTION_BITS,
    ISA_VERSION,
    LAYER,
    LOAD,
    NEXT,
    PARAMETER,
    PASS_STEP,
    STORE,
    Adaptation,
    Base,
    MemoryId,
    Opcode,
    PoolMode,
)
from tritone.spec.level import Level
from tritone.spec.machine import BEAT_BITS, PRESETS, ArrayKind, MachineConfig
from tritone.spec.packing import TERMS, Packing, choose_packing, find_terms
from tritone.spec.pass_plan import TABLE_ENTRIES
from tritone.spec.program import CONTAINER_BYTES, CONTAINER_OFFSETS, CONTAINER_VERSION, MAGIC
from tritone.spec.record import Record
from tritone.spec.regmap import REGISTERS, Control, ErrorCode, Status
from tritone.spec.storage import write_atomically

__all__ = ["c_header", "markdown"]

_RECORDS = (
    HEADER,
    CHECK,
    LOAD,
    STORE,
    LAYER,
    NEXT,
    PASS_STEP,
    PARAMETER,
    HALF_PARAMETER,
    TERMS,
    *ARRAY_CODES.values(),
)
_ENUMS: tuple[type[IntEnum], ...] = (
    Opcode,
    MemoryId,
    Base,
    PoolMode,
    Adaptation,
    Packing,
    ErrorCode,
)
_FLAGS = (Control, Status)

# More magnitudes than this are abbreviated.
_LONG_WALK = 36  # whole memory words in every form

_MANY = 16


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return [*lines, ""]


def _level(level: Level) -> str:
    """Return a level in units of its codebook as text."""
    root = {0: "", 1: "√2", -1: "-√2"}.get(level.odd, f"{level.odd}√2")
    if not level.even or not root:
        return root or str(level.even)
    return f"{level.even}{'' if level.odd < 0 else '+'}{root}"


def _magnitudes(book: Codebook) -> str:
    """Return the magnitudes of a codebook; runs of integers, and what is long, abbreviated."""
    magnitudes = [level for level in book.sorted_levels if level.scaled >= 0]
    integers = [level.even for level in magnitudes]
    if len(integers) > 2 and not any(level.odd for level in magnitudes):
        step = integers[1] - integers[0]
        if integers == list(range(integers[0], integers[-1] + 1, step)):
            second = "" if step == 1 else f", {integers[1]}"
            return f"{integers[0]}{second}..{integers[-1]}"
    texts = [_level(level) for level in magnitudes]
    if len(texts) > _MANY:
        texts[_MANY // 2 : -_MANY // 2] = ["…"]
    return ", ".join(texts)


def _entry(book: Codebook, code: int) -> str:
    """Return the level of ``code`` as text, for codes without one too."""
    if code >= len(book.levels):
        return ""
    level = book.levels[code]
    return "-" if level is None else _level(level)


def _plan(book: Codebook, array: ArrayKind) -> str:
    """Return the plan of a codebook; what does not run has none."""
    if not book.runs(array):
        return "-"
    passes = book.plan(array).passes
    return f"{len(passes)}: " + ", ".join(f"{each.plane}:<<{each.shift}" for each in passes)


def _packed(book: Codebook, array: ArrayKind) -> str:
    """Return the bits that a weight takes in each pass where packing makes it fewer."""
    if not book.runs(array):
        return ""
    used = [code for code, level in enumerate(book.levels) if level is not None]
    terms = find_terms(book.plan(array), used)
    forms = [choose_packing(terms, _LONG_WALK, idle=idle)[0] for idle in (False, True)]
    if not any(map(any, forms)):
        return ""
    texts = (" + ".join(str(each.bits) for each in form) for form in forms)
    return "; ".join(dict.fromkeys(texts))


def _codebooks() -> list[str]:
    head = ("name", "bits", "levels", "magnitudes", "in units of")
    rows = [
        (
            f"`{book.name}`",
            book.bits,
            len(book.codes),
            _magnitudes(book),
            f"1/{book.unit}",
            *(_plan(book, array) for array in ArrayKind),
        )
        for book in CATALOG.values()
    ]
    small = [book for book in CATALOG.values() if len(book.levels) <= TABLE_ENTRIES]
    tables = [
        (f"`{book.name}`", f"`{array}`", index, f"`{' '.join(f'{code:x}' for code in each.table)}`")
        for book in CATALOG.values()
        for array in ArrayKind
        if book.runs(array)
        for index, each in enumerate(book.plan(array).passes)
    ]
    packed = [
        (f"`{book.name}`", *(_packed(book, array) for array in ArrayKind))
        for book in CATALOG.values()
        if any(_packed(book, array) for array in ArrayKind)
    ]
    return [
        "## Codebooks",
        "",
        "A weight is alpha times a level; every magnitude has its negative. √2 is 181/128 by",
        "definition. For each kind of array: the passes, each written `plane:<<shift`, the weight",
        "nibble that it looks up and the power of two by which it counts. What an array does not",
        "run is trained and exported only.",
        "",
        *_table((*head, *(f"passes on `{array}`" for array in ArrayKind)), rows),
        "The level of each code, in the same units (- is a code that is not used):",
        "",
        *_table(
            ("code", *(book.name for book in small)),
            ((code, *(_entry(book, code) for book in small)) for code in range(TABLE_ENTRIES)),
        ),
        f"The {TABLE_ENTRIES} entries of the lookup table of each pass, as the array's code",
        "(hexadecimal, entry 0 first):",
        "",
        *_table(("codebook", "array", "pass", "table"), tables),
        "Packed weights: the bits of each pass in long walks, behind a semicolon where lanes are",
        "idle. All others take 4.",
        "",
        *_table(("codebook", *(f"bits on `{array}`" for array in ArrayKind)), packed),
    ]


def _record(record: Record) -> list[str]:
    rows = []
    for offset, field in record.placed():
        top = offset + field.bits - 1
        kind = field.choices.__name__ if field.choices else ("signed" if field.signed else "")
        place = f"{top}:{offset}" if field.bits > 1 else str(offset)
        rows.append((place, f"`{field.name}`", field.bits, kind, field.doc))
    return [
        f"### `{record.name}`, {record.bits} bits",
        "",
        record.doc,
        "",
        *_table(("bits", "field", "width", "type", "meaning"), rows),
    ]


def _registers() -> list[str]:
    return [
        "## Registers",
        "",
        "AXI4-Lite, 32 bits each.",
        "",
        *_table(
            ("address", "name", "access", "meaning"),
            (
                (f"`{each.address:#04x}`", f"`{each.name}`", each.access.value, each.doc)
                for each in REGISTERS
            ),
        ),
    ]


def _enums() -> list[str]:
    lines = ["## Enumerations", ""]
    enums: tuple[type[Enum], ...] = (*_ENUMS, *_FLAGS)
    for enum in enums:
        lines += _enum(enum)
    return lines


def _enum(enum: type[Enum]) -> list[str]:
    return [
        f"### `{enum.__name__}`",
        "",
        *((enum.__doc__ or "").splitlines()[:1]),
        "",
        *_table(("value", "name"), ((member.value, f"`{member.name}`") for member in enum)),
    ]


def _host_link() -> list[str]:
    escapes = ", ".join(
        f"`{plain:02x}` as `{ESCAPE:02x} {second:02x}`" for plain, second in ESCAPED.items()
    )
    return [
        "## Host link",
        "",
        f"Frames between a host and a board, version {LINK_VERSION}; [board.md](board.md) tells",
        f"how they are used. A frame stands between two bytes `{END:02x}`; within it {escapes}.",
        f"It is the header, at most {MAX_BEATS} beats of data, and the CRC-32 of both, lowest",
        "byte first.",
        "",
        *_record(FRAME_HEADER),
        *_record(IDENTITY),
        *_enum(Operation),
        *_enum(Answer),
    ]


def _machines() -> list[str]:
    return [
        "## Machines",
        "",
        "The presets and what follows from them. R rows, C columns, P pixels.",
        "",
        *_table(
            (
                "name",
                "R × C × P",
                "multiply-accumulates a cycle",
                "array",
                "requantiser",
                "its lanes",
                "accumulators, bits",
                "feature KiB",
                "weight KiB",
                "parameter KiB",
                "adaptive steps",
                "packed weights",
                "fingerprint",
            ),
            (
                (
                    f"`{machine.name}`",
                    f"{machine.rows} × {machine.columns} × {machine.pixels}",
                    machine.macs_per_cycle,
                    f"`{machine.array}`",
                    f"`{machine.requantizer}`",
                    machine.lanes,
                    " + ".join(str(n) for n in (machine.even_bits, machine.odd_bits) if n),
                    _kib(2 * machine.banks * machine.feature_words * machine.feature_word_bits),
                    _kib(machine.weight_words * machine.weight_word_bits),
                    _kib(machine.parameter_words * machine.parameter_word_bits),
                    "yes" if machine.adaptive else "no",
                    "yes" if machine.packing else "no",
                    f"`{machine.fingerprint:016x}`",
                )
                for machine in PRESETS.values()
            ),
        ),
    ]


def _kib(bits: int) -> str:
    return f"{bits / 8 / 1024:g}"


def markdown() -> str:
    """Return the reference: codebooks, records, registers, enumerations and machines."""
    lines = [
        "# Reference",
        "",
        "Rendered from `tritone.spec` by `make docs`; a test keeps it current. Instruction set",
        f"version {ISA_VERSION}, program container version {CONTAINER_VERSION}.",
        "",
        *_codebooks(),
        "## Records",
        "",
        f"Bit 0 is the least significant. An instruction has {INSTRUCTION_BITS} bits, fetched as",
        f"{INSTRUCTION_BEATS} beats of {BEAT_BITS}, lowest first.",
        "",
    ]
    for record in _RECORDS:
        lines += _record(record)
    lines += [*_registers(), *_enums(), *_host_link(), *_machines()]
    return "\n".join(lines).rstrip() + "\n"


def c_header(machine: MachineConfig) -> str:
    """Return a C header with the registers, enumerations and record fields, and ``machine``.

    A field lies at ``*_SHIFT`` of its little-endian record and has ``*_BITS`` bits.
    """
    guard = "TRITONE_H"
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        f"/* Rendered from tritone.spec for machine {machine.name}. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        f"#define TRITONE_ISA_VERSION {ISA_VERSION}",
        f"#define TRITONE_CONTAINER_VERSION {CONTAINER_VERSION}",
        f"#define TRITONE_FINGERPRINT 0x{machine.fingerprint:016x}ULL",
        f"#define TRITONE_ROWS {machine.rows}",
        f"#define TRITONE_COLUMNS {machine.columns}",
        f"#define TRITONE_PIXELS {machine.pixels}",
        "",
        "/* program file: a header, least significant bytes first, and behind it the payload */",
        f'#define TRITONE_CONTAINER_MAGIC "{MAGIC.decode()}"',
        f"#define TRITONE_CONTAINER_BYTES {CONTAINER_BYTES}",
        *(
            f"#define TRITONE_CONTAINER_{name.upper()}_OFFSET {offset}"
            for name, offset in CONTAINER_OFFSETS.items()
        ),
        "",
        "/* registers: byte addresses */",
    ]
    lines += [
        f"#define TRITONE_REG_{each.name.upper()} 0x{each.address:02x} "
        f"/* {each.access.value}: {each.doc} */"
        for each in REGISTERS
    ]
    for flags in _FLAGS:
        lines += ["", f"/* bits of the register {flags.__name__.lower()} */"]
        lines += [
            f"#define TRITONE_{flags.__name__.upper()}_{bit.name} 0x{bit.value:x}" for bit in flags
        ]
    for enum in _ENUMS:
        prefix = _snake(enum.__name__)
        lines += ["", f"enum tritone_{prefix} {{"]
        lines += [f"    TRITONE_{prefix.upper()}_{each.name} = {each.value}," for each in enum]
        lines += ["};"]
    for record in _RECORDS:
        prefix = f"TRITONE_{record.name.upper()}"
        lines += ["", f"/* {record.name} */", f"#define {prefix}_BITS {record.bits}"]
        for offset, field in record.placed():
            name = f"{prefix}_{field.name.upper()}"
            lines += [f"#define {name}_SHIFT {offset}", f"#define {name}_BITS {field.bits}"]
    return "\n".join([*lines, "", f"#endif /* {guard} */"]) + "\n"


def _snake(name: str) -> str:
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and index else letter.lower()
        for index, letter in enumerate(name)
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("error: render must be given the file to write, docs/reference.md")
    write_atomically(Path(sys.argv[1]), markdown().encode())

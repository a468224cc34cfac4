# SPDX-License-Identifier: Apache-2.0
"""Bit records: named fields at fixed positions of a word, least significant field first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Field", "Record"]


@dataclass(frozen=True)
class Field:
    """One field of a record.

    Parameters
    ----------
    name : identifier, unique within its record.
    bits : width.
    doc : what the value means, with its unit.
    signed : two's complement if true.
    choices : the enumeration that the field holds, if it holds one.
    """

    name: str
    bits: int
    doc: str
    signed: bool = False
    choices: type[IntEnum] | None = None

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ValueError(f"Field width must be a positive number of bits, not {self.bits!r}")

    @property
    def low(self) -> int:
        """Smallest value that the field holds."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest value that the field holds."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True)
class Record:
    """A word of ``bits`` bits made of fields; bits behind the last field are reserved and zero."""

    name: str
    bits: int
    doc: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        used = sum(field.bits for field in self.fields)
        if used > self.bits:
            raise ValueError(f"Record {self.name} must fit {self.bits} bits, not {used}")
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"Record {self.name} must have unique field names, not {names}")

    @property
    def used_bits(self) -> int:
        """Bits taken by the fields."""
        return sum(field.bits for field in self.fields)

    def placed(self) -> Iterator[tuple[int, Field]]:
        """Yield (offset in bits, field), least significant first."""
        offset = 0
        for field in self.fields:
            yield offset, field
            offset += field.bits

    def pack(self, values: Mapping[str, int]) -> int:
        """Return the word that holds ``values``; every field must be given and fit."""
        unknown = set(values) - {field.name for field in self.fields}
        if unknown:
            raise ValueError(
                f"Record {self.name} must be given its own fields, not {sorted(unknown)}"
            )
        word = 0
        for offset, field in self.placed():
            if field.name not in values:
                raise ValueError(f"Record {self.name} must be given the field {field.name}")
            value = int(values[field.name])
            if not field.low <= value <= field.high:
                raise ValueError(
                    f"{self.name}.{field.name} must be in {field.low}..{field.high}, not {value}"
                )
            word |= (value & ((1 << field.bits) - 1)) << offset
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Return the fields of ``word``; reserved bits must be zero."""
        if not 0 <= word < 1 << self.bits:
            raise ValueError(f"{self.name} must be a word of {self.bits} bits, not {word:#x}")
        if word >> self.used_bits:
            raise ValueError(
                f"{self.name} must have zero reserved bits, not {word >> self.used_bits:#x}"
            )
        values = {}
        for offset, field in self.placed():
            value = word >> offset & ((1 << field.bits) - 1)
            if field.signed and value >> (field.bits - 1):
                value -= 1 << field.bits
            values[field.name] = value
        return values

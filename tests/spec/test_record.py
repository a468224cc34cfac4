# SPDX-License-Identifier: Apache-2.0
"""Records pack and unpack without loss, and refuse what does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.spec.record import Field, Record

SAMPLE = Record(
    "sample",
    16,
    "",
    (Field("a", 3, ""), Field("b", 1, ""), Field("c", 5, "", signed=True), Field("d", 4, "")),
)


@st.composite
def records(draw: st.DrawFn) -> tuple[Record, dict[str, int]]:
    """Return any record with values for its fields."""
    count = draw(st.integers(1, 12))
    fields = tuple(
        Field(f"f{index}", draw(st.integers(1, 70)), "", signed=draw(st.booleans()))
        for index in range(count)
    )
    spare = draw(st.integers(0, 9))
    record = Record("any", sum(field.bits for field in fields) + spare, "", fields)
    return record, {
        field.name: draw(
            st.integers(
                -(2 ** (field.bits - 1)) if field.signed else 0,
                2 ** (field.bits - 1) - 1 if field.signed else 2**field.bits - 1,
            )
        )
        for field in fields
    }


@given(records())
def test_round_trip(sample: tuple[Record, dict[str, int]]) -> None:
    """What is packed comes out again."""
    record, values = sample
    assert record.unpack(record.pack(values)) == values


def test_first_field_is_least_significant() -> None:
    """The word of a record, by hand: d=0b1001 c=-2=0b11110 b=1 a=0b101."""
    assert SAMPLE.pack({"a": 5, "b": 1, "c": -2, "d": 9}) == 0b000_1001_11110_1_101
    assert [(offset, field.name) for offset, field in SAMPLE.placed()] == [
        (0, "a"),
        (3, "b"),
        (4, "c"),
        (9, "d"),
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("a", 8, r"^sample.a must be in 0..7, not 8$"),
        ("a", -1, r"^sample.a must be in 0..7, not -1$"),
        ("c", 16, r"^sample.c must be in -16..15, not 16$"),
        ("c", -17, r"^sample.c must be in -16..15, not -17$"),
    ],
)
def test_values_must_fit(field: str, value: int, message: str) -> None:
    """Nothing is cut off silently."""
    values = {"a": 0, "b": 0, "c": 0, "d": 0}
    with pytest.raises(ValueError, match=message):
        SAMPLE.pack(values | {field: value})


def test_fields_must_be_known_and_complete() -> None:
    """A missing or misspelt field is refused."""
    with pytest.raises(ValueError, match=r"^Record sample must be given the field c$"):
        SAMPLE.pack({"a": 0, "b": 0, "d": 0})
    with pytest.raises(
        ValueError, match=r"^Record sample must be given its own fields, not \['e'\]$"
    ):
        SAMPLE.pack({"a": 0, "b": 0, "c": 0, "d": 0, "e": 0})


def test_reserved_bits_must_be_zero() -> None:
    """Bits behind the last field, and words that are too long, are refused."""
    with pytest.raises(ValueError, match=r"^sample must have zero reserved bits, not 0x1$"):
        SAMPLE.unpack(1 << 13)
    with pytest.raises(ValueError, match=r"^sample must be a word of 16 bits, not 0x10000$"):
        SAMPLE.unpack(1 << 16)


def test_records_are_checked_when_they_are_made() -> None:
    """Too many bits, a name twice and a field without bits are refused."""
    with pytest.raises(ValueError, match=r"^Record r must fit 4 bits, not 5$"):
        Record("r", 4, "", (Field("a", 5, ""),))
    with pytest.raises(
        ValueError, match=r"^Record r must have unique field names, not \['a', 'a'\]$"
    ):
        Record("r", 4, "", (Field("a", 1, ""), Field("a", 1, "")))
    with pytest.raises(ValueError, match=r"^Field width must be a positive number of bits, not 0$"):
        Field("a", 0, "")

# SPDX-License-Identifier: Apache-2.0
"""Tables of TOML as dataclasses; recipes' own keys are in test_recipe.py."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from enum import Enum

import pytest

from tritone.qat.recipe_tables import build_tables, render_tables


class Colour(Enum):
    """An enum of texts."""

    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A table."""

    size: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    """All kinds of values."""

    count: int
    colour: Colour = Colour.RED
    on: bool = False
    text: str | None = None
    inner: Inner = field(default_factory=Inner)
    several: tuple[Inner, ...] = ()
    hidden: int = 0


TEXT = """
count = 3
colour = "red"
on = true
text = "a\\"b"
inner = {size = 2}
several = [{size = 0.5}, {}]
"""
APART = frozenset({"hidden"})


def test_there_and_back() -> None:
    """A whole number becomes a float where one is meant; what is apart is not written."""
    made = build_tables(Outer, tomllib.loads(TEXT), APART)
    assert made == Outer(
        count=3, on=True, text='a"b', inner=Inner(size=2.0), several=(Inner(size=0.5), Inner())
    )
    text = render_tables(made, APART)
    assert "hidden" not in text
    assert build_tables(Outer, tomllib.loads(text), APART) == made


def test_what_is_apart_is_no_key() -> None:
    """Nor is it named among those that there are."""
    message = "^Recipe key must be one of count, colour, on, text, inner, several, not 'hidden'$"
    with pytest.raises(ValueError, match=message):
        build_tables(Outer, {"count": 1, "hidden": 2}, APART)
    with pytest.raises(ValueError, match=r"^Recipe must have the key count$"):
        build_tables(Outer, {}, APART)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"count": 1.5}, r"^Recipe count must be of type int, not 1\.5$"),
        ({"count": 1, "inner": 2}, r"^Recipe inner must be a table, not 2$"),
        (
            {"count": 1, "inner": {"size": "2"}},
            r"^Recipe inner\.size must be of type float, not '2'$",
        ),
        ({"count": 1, "several": {}}, r"^Recipe several must be tables \[\[several\]\], not \{\}$"),
    ],
)
def test_wrong_types(table: dict[str, object], message: str) -> None:
    """The key is named with its path."""
    with pytest.raises(TypeError, match=message):
        build_tables(Outer, table, APART)

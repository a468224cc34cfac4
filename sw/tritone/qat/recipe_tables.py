# SPDX-License-Identifier: Apache-2.0
"""From the tables of a recipe's TOML to dataclasses, and back."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

__all__ = ["build_tables", "render_tables"]

T = TypeVar("T")


def build_tables(kind: type[T], table: dict[str, Any], apart: Set[str]) -> T:
    """Return the dataclass ``kind`` of the tables of a recipe.

    Parameters
    ----------
    kind : fields are numbers, texts, enums, dataclasses, tuples of dataclasses, or None.
    table : what a TOML text holds.
    apart : fields of ``kind`` that no key tells; they have their defaults.

    Raises
    ------
    TypeError, ValueError : an unknown or missing key, or a wrong value; it is named.
    """
    return _build(kind, table, "", apart)


def _build(kind: type[T], table: dict[str, Any], prefix: str, apart: Set[str]) -> T:
    """Return the dataclass ``kind`` of a table; ``prefix`` is the path of its keys."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in apart}
    for key in table:
        if key not in hints:
            known = ", ".join(prefix + name for name in hints)
            raise ValueError(f"Recipe key must be one of {known}, not {prefix + key!r}")
    for each in fields(kind):  # type: ignore[arg-type]  # every kind is a dataclass
        needed = each.default is MISSING and each.default_factory is MISSING
        if needed and each.name not in table:
            raise ValueError(f"Recipe must have the key {prefix + each.name}")
    return kind(**{key: _value(hints[key], value, prefix + key) for key, value in table.items()})


def _value(kind: Any, value: Any, key: str) -> Any:
    if isinstance(kind, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"Recipe {key} must be tables [[{key}]], not {value!r}")
        return tuple(_value(get_args(kind)[0], each, key) for each in value)
    if issubclass(kind, Enum):
        choices = [choice.value for choice in kind]
        if value not in choices:
            raise ValueError(f"Recipe {key} must be one of {', '.join(choices)}, not {value!r}")
        return kind(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (int, float, str, bool):
        if type(value) is not kind:
            raise TypeError(f"Recipe {key} must be of type {kind.__name__}, not {value!r}")
        return value
    if not isinstance(value, dict):
        raise TypeError(f"Recipe {key} must be a table, not {value!r}")
    return _build(kind, value, f"{key}.", frozenset())


def render_tables(recipe: Any, apart: Set[str]) -> str:
    """Return the TOML text of a recipe: ``build_tables`` of it makes the recipe again.

    Parameters
    ----------
    recipe : a dataclass.
    apart : fields of it that no key tells.
    """
    lines: list[str] = []
    sections: list[str] = []
    for key, value in vars(recipe).items():
        if key in apart:
            continue
        if is_dataclass(value):
            sections += _section(f"[{key}]", value)
        elif isinstance(value, tuple):
            for each in value:
                sections += _section(f"[[{key}]]", each)
        elif value is not None:
            lines.append(f"{key} = {_literal(value)}")
    return "\n".join([*lines, *sections, ""])


def _section(head: str, values: Any) -> list[str]:
    """Return the lines of a table; what is None is not there."""
    pairs = (f"{k} = {_literal(v)}" for k, v in vars(values).items() if v is not None)
    return ["", head, *pairs]


def _literal(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)

# SPDX-License-Identifier: Apache-2.0
"""Machines as people name them: a preset or a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tritone.spec.machine import PRESETS, MachineConfig

__all__ = ["load_machine"]

_SUFFIX = ".toml"


def load_machine(name: str) -> MachineConfig:
    """Return the preset of that name, or the machine in that TOML file.

    The file holds the parameters of MachineConfig; ``name`` is the name of the file where it is not
    given.

    Raises
    ------
    ValueError : no such preset, not TOML, an unknown or missing key, a value out of range.
    TypeError : a value of another type.
    FileNotFoundError : there is no such file.
    """
    if not name.endswith(_SUFFIX):
        if name not in PRESETS:
            raise ValueError(
                f"Machine must be one of {', '.join(PRESETS)} or a {_SUFFIX} file, not {name!r}"
            )
        return PRESETS[name]
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"Machine must be a file that is there, not {name}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"Machine {path} must be TOML: {error}") from error
    values.setdefault("name", path.stem)
    return MachineConfig.from_values(values)

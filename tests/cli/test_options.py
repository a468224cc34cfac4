# SPDX-License-Identifier: Apache-2.0
"""Options of several commands are the same ones everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tritone.cli.app import app
from tritone.cli.options import FAILURE, USER_ERROR, require_path


def commands(group: Any) -> Iterator[Any]:
    """Return the commands of a group and of the groups in it."""
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            yield from commands(command)
        else:
            yield command


@pytest.mark.parametrize("name", ["--data", "--build"])
def test_one_meaning(name: str) -> None:
    """An option of that name has the same help in every command that has it."""
    options = [option for command in commands(get_command(app)) for option in command.params]
    found = [option.help for option in options if name in option.opts]
    assert len(found) > 1
    assert len(set(found)) == 1


def test_require_path(tmp_path: Path) -> None:
    """What is there comes back; what is not names its remedy."""
    assert require_path(tmp_path, "x") == tmp_path
    missing = tmp_path / "graph"
    message = f"^{missing} must be there; make it with: tritone export runs/a$"
    with pytest.raises(FileNotFoundError, match=message):
        require_path(missing, "tritone export runs/a")


def test_exit_codes() -> None:
    """A failure and a user's error are told apart, and from success."""
    assert len({0, FAILURE, USER_ERROR}) == 3

# SPDX-License-Identifier: Apache-2.0
"""Networks of a user's own: a Python file, and what in it makes the network."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

__all__ = ["ModelSource", "read_source"]

_SUFFIX = ".py"


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A Python file as it was read, and the name of a class or function in it.

    Parameters
    ----------
    path : of the file.
    name : of what is called with channels and classes, and returns the network.
    code : all bytes of the file.
    """

    path: Path
    name: str
    code: bytes

    @property
    def sha256(self) -> str:
        """Of the file, in hexadecimal digits."""
        return hashlib.sha256(self.code).hexdigest()

    @property
    def model(self) -> str:
        """What a recipe in the folder of the file calls the network."""
        return f"{self.path.name}:{self.name}"

    def build(self, channels: int, classes: int) -> nn.Module:
        """Return a new network for images of ``channels`` channels.

        Raises
        ------
        ValueError : the file cannot be executed, has no such name, or that fails.
        TypeError : that cannot be called, or makes no network.
        """
        make = self._maker()
        try:
            model = make(channels, classes)
        except Exception as error:
            raise ValueError(
                f"Model {self.name} of {self.path} must take channels and classes, "
                f"({channels}, {classes}), and fails: {self._explain(error)}"
            ) from error
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"Model {self.name} of {self.path} must return a torch.nn.Module, "
                f"not {type(model).__name__}"
            )
        return model

    def _maker(self) -> Callable[[int, int], Any]:
        module = self._module()
        if self.name not in vars(module):
            made = [
                name
                for name, value in vars(module).items()
                if callable(value) and getattr(value, "__module__", None) == module.__name__
            ]
            raise ValueError(
                f"Model {self.name} must be in {self.path}, which has {', '.join(made) or 'none'}"
            )
        make: Any = getattr(module, self.name)
        if not callable(make):
            raise TypeError(
                f"Model {self.name} of {self.path} must be a class or a function, "
                f"not {type(make).__name__}"
            )
        return make

    def _module(self) -> ModuleType:
        """Return the executed file, which is executed once in a process."""
        name = f"tritone_model_{self.sha256}"
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = str(self.path)
        # Where dataclasses, enums and pickle look for what a module holds.
        sys.modules[name] = module
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                exec(compile(self.code, str(self.path), "exec"), vars(module))
        except BaseException as error:
            del sys.modules[name]
            if not isinstance(error, Exception):
                raise
            raise ValueError(
                f"Model file {self.path} must be Python that can be executed, and fails: "
                f"{self._explain(error)}"
            ) from error
        return module

    def _explain(self, error: Exception) -> str:
        """Return what went wrong, and in which line of the file."""
        if isinstance(error, SyntaxError):
            return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
        where = f"line {lines[-1]}: " if lines else ""
        return f"{where}{type(error).__name__}: {error}"


def read_source(model: str, folder: Path, sha256: str | None = None) -> ModelSource | None:
    """Return the source of a network that is given as ``FILE.py:NAME``, None for any other text.

    Parameters
    ----------
    model : as in a recipe.
    folder : that FILE is relative to.
    sha256 : that it must have; None: any.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : no name, or another SHA-256.
    """
    file, colon, name = model.rpartition(":")
    if not colon:
        file, name = name, ""
    if not file.endswith(_SUFFIX):
        return None
    if not name.isidentifier():
        raise ValueError(f"Model must be FILE.py:NAME, of a class or a function, not {model!r}")
    path = folder / file
    if not path.is_file():
        raise FileNotFoundError(f"Model {name} must be in the file {path}, which is not there")
    source = ModelSource(path=path, name=name, code=path.read_bytes())
    if sha256 not in (None, source.sha256):
        raise ValueError(
            f"Model file {path} must have the SHA-256 {sha256}, not {source.sha256}: it was changed"
        )
    return source

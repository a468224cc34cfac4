# SPDX-License-Identifier: Apache-2.0
"""Modules traced by torch.fx, and where in their source an operator is."""

from __future__ import annotations

import inspect
import re
import traceback
from pathlib import Path

import torch
from torch import fx, nn

__all__ = ["forward_place", "named", "place", "trace"]

_PACKAGE = str(Path(torch.__file__).parent)


def trace(model: nn.Module) -> fx.Graph:
    """Return the operators of ``model``, with the places where it calls them.

    Raises
    ------
    ValueError : it cannot be traced.
    """
    tracer = fx.Tracer()
    tracer.record_stack_traces = True
    try:
        return tracer.trace(model)
    except Exception as error:
        # What its own code raises, perhaps of what torch.fx has in the place of a tensor.
        told = f"and fails: {type(error).__name__}"
        if isinstance(error, fx.proxy.TraceError):
            told = "without branches on values"
        calls = traceback.extract_tb(error.__traceback__)[1:]
        found = _last([(call.filename, call.lineno) for call in calls])
        raise ValueError(
            f"Model must be traceable by torch.fx, {told}: {' '.join(str(error).split())}{found}"
        ) from error


def place(node: fx.Node) -> str:
    """Return where the model calls ``node``, " (FILE, line N)"; nothing where it is not known."""
    return _last(re.findall(r'File "(.+)", line (\d+)', node.stack_trace or ""))


def named(node: fx.Node) -> str:
    """Return the name of ``node`` and where the model calls it."""
    return f"{node.name}{place(node)}"


def forward_place(model: nn.Module) -> str:
    """Return where the forward of ``model`` begins, as ``place`` does."""
    try:
        file = inspect.getsourcefile(type(model).forward)
        _, line = inspect.getsourcelines(type(model).forward)
    except (OSError, TypeError):  # made in a console
        return ""
    return _last([(str(file), line)])


def _last(calls: list[tuple[str, int | None]]) -> str:
    """Return the last of the lines that are not torch's own."""
    own = [f" ({file}, line {line})" for file, line in calls if not file.startswith(_PACKAGE)]
    return own[-1] if own else ""

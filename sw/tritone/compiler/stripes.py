# SPDX-License-Identifier: Apache-2.0
"""A layer in stripes of its output's rows, where its tensors do not all fit on the chip.

A stripe is an instruction like a whole layer: fewer rows, and padding only where the tensor ends.
It reads the rows of its windows, of which neighbouring stripes share some.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritone.compiler.constants import Slice
from tritone.compiler.gather import Windows
from tritone.compiler.tile import TiledLayer
from tritone.spec.isa import WINDOW_KERNEL
from tritone.spec.machine import MachineConfig

__all__ = ["Stripe", "added_words", "cut", "pixel_rows", "read_words", "stored_words", "unit_words"]


@dataclass(frozen=True, kw_only=True)
class Stripe:
    """Rows of a layer's output, and what they are made of.

    Parameters
    ----------
    first, rows : of the output.
    source : rows of the input that it reads, at least one.
    pad_top : rows of padding above these.
    added : rows of the shortcut, if the layer adds one.
    """

    first: int
    rows: int
    source: range
    pad_top: int
    added: range | None


def cut(tiled: TiledLayer, rows: int) -> tuple[Stripe, ...]:
    """Return the stripes of ``rows`` rows."""
    layer, window = tiled.layer, tiled.layer.window
    height, in_height = layer.output.shape[1], layer.input.shape[1]
    stripes = []
    for first in range(0, height, rows):
        own = min(rows, height - first)
        begin = window.stride * first - window.pad[0]
        end = begin + window.stride * (own - 1) + window.kernel[0]
        if begin >= in_height or end <= 0:
            # Padding alone, which all lies above the one row that an instruction must have.
            source, pad_top = range(1), end - begin
        else:
            source = range(max(begin, 0), min(end, in_height))
            pad_top = source.start - begin
        added = None
        if layer.shortcut is not None:
            stride = layer.shortcut.stride
            added = range(stride * first, stride * (first + own - 1) + 1)
        stripes.append(Stripe(first=first, rows=own, source=source, pad_top=pad_top, added=added))
    return tuple(stripes)


def pixel_rows(stripe: Stripe, windows: Windows) -> tuple[range, int, int]:
    """Return what LOAD reads to make the windows that a stripe reads.

    Rows of the image, rows of padding above them, and all rows with padding.
    """
    first, last = stripe.source[0], stripe.source[-1]
    begin = windows.stride * first - windows.pad_top
    down = windows.stride * (last - first) + WINDOW_KERNEL
    top = max(begin, 0)
    return range(top, min(begin + down, windows.image.shape[1])), top - begin, down


def unit_words(tiled: TiledLayer, machine: MachineConfig) -> int | None:
    """Return the output groups of an instruction that stores one channel word; None: it cannot.

    Walks must not begin amid those that share their channel words.
    """
    unit, turn = machine.word_columns, tiled.reach.turn
    return unit if turn >= tiled.groups or unit % turn == 0 else None


def read_words(tiled: TiledLayer, part: Slice) -> range:
    """Return the channel words of the input that a slice reads."""
    reach = tiled.reach
    return range(reach.first(part.first), reach.first(part.first + part.groups - 1) + reach.words)


def stored_words(part: Slice, machine: MachineConfig) -> range:
    """Return the channel words of the output that a slice stores."""
    first = part.first // machine.word_columns
    return range(first, first + -(-part.groups // machine.word_columns))


def added_words(tiled: TiledLayer, part: Slice, machine: MachineConfig) -> range:
    """Return the channel words of the shortcut that a slice adds."""
    groups = min(max(tiled.shortcut_groups - part.first, 0), part.groups)
    first = part.first // machine.word_columns
    return range(first, first + -(-groups // machine.word_columns))

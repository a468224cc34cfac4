# SPDX-License-Identifier: Apache-2.0
"""Transfers cycle by cycle against figures worked out by hand; the system tests measure them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tritone.compiler.transfers import MemoryTiming, PixelLoad, Store, words_loaded
from tritone.spec.isa import MemoryId
from tritone.spec.machine import MachineConfig, preset

MEMORY = MemoryTiming(read_latency=2, write_latency=2)
TINY = preset("tiny")
HALF = MachineConfig(name="half", rows=16, columns=8, pixels=2)

IMAGE = {"memory": MemoryId.FEATURE_0, "pixel_bytes": 0, "kernel": 0}
WINDOWS = {"kernel": 3, "pad_top": 1, "pad_left": 1, "stride": 1}


def end(transfer: PixelLoad | Store, free: Callable[[int], bool] = lambda cycle: True) -> int:
    """Return the first cycle in which a transfer that begins in cycle 0 is over."""
    cycle = 1
    while transfer.busy(cycle):
        transfer.step(cycle, free(cycle))
        cycle += 1
    return cycle


@pytest.mark.parametrize(
    ("address", "beats", "cycles"),
    [
        # Request 3 cycles behind the begin, data 2 cycles behind that, the end 3 behind them.
        (0, 1, 8),
        (0, 16, 23),
        (0, 100, 107),
        # A first burst of 2 beats hides the second request, one of a single beat does not.
        (14 * 8, 20, 27),
        (15 * 8, 20, 28),
        (15 * 8, 1, 8),
    ],
)
def test_words_take_a_cycle_a_beat(address: int, beats: int, cycles: int) -> None:
    """Bursts follow each other without gaps."""
    assert words_loaded(0, address, beats, MEMORY) == cycles
    slower = MemoryTiming(read_latency=7, write_latency=2)
    assert words_loaded(0, address, beats, slower) == cycles + 5


@pytest.mark.parametrize(("latency", "beats", "cycles"), [(2, 1, 20), (2, 100, 119), (30, 9, 44)])
def test_weights_wait_for_their_table(latency: int, beats: int, cycles: int) -> None:
    """16 entries of the table are written from the cycle behind the begin on, then beats."""
    memory = MemoryTiming(read_latency=latency, write_latency=2)
    assert words_loaded(0, 0, beats, memory, looked_up=True) == cycles


def test_pixels_take_a_cycle_each() -> None:
    """32 pixels of a byte in 4 beats; the first comes in cycle 5, its first pixel behind it.

    Behind the last pixel come its write and the cycle in which that is told.
    """
    fields = IMAGE | {"beats": 4, "width": 8, "rows": 4}
    assert end(PixelLoad(TINY, fields, 0, 0, MEMORY)) == 5 + 1 + 32 + 2
    # 16 bytes a pixel are two beats: beats are more than pixels.
    fields = IMAGE | {"beats": 64, "width": 8, "rows": 4, "pixel_bytes": 4}
    assert end(PixelLoad(HALF, fields, 0, 0, MEMORY)) == 5 + 64 + 1 + 2


def test_pixels_wait_for_the_layer() -> None:
    """A feature memory that is free every third cycle takes 4 pixels in 12 cycles."""
    fields = IMAGE | {"beats": 1, "width": 4, "rows": 1}
    # The first word is there in cycle 6; words are written in cycles 9, 12, 15, 18.
    assert end(PixelLoad(TINY, fields, 0, 0, MEMORY), lambda cycle: cycle % 3 == 0) == 20


@pytest.mark.parametrize(("channels", "words"), [(1, 1), (3, 2)])
def test_windows_take_their_positions_and_words(channels: int, words: int) -> None:
    """4x4 pixels padded to 6x6: 36 positions, and a cycle for each further word of 16 windows."""
    log2 = (channels - 1).bit_length()
    fields = IMAGE | WINDOWS | {"width": 4, "rows": 4, "across": 6, "down": 6}
    fields |= {"channels": channels, "pixel_bytes": log2, "beats": 2 << log2}
    # Padding goes by from cycle 1 on: 7 positions, the first pixel in cycle 8 (it is there in 6).
    positions = 36 + 16 * (words - 1)
    assert end(PixelLoad(HALF, fields, 0, 0, MEMORY)) == 1 + positions + 1 + 2


def test_a_store_sends_bursts_when_they_are_whole() -> None:
    """20 words of 8 bytes: a burst of 16, then one of 4."""
    store = {"group": 1, "width": 5, "rows": 4}
    # Requests in cycles 1..20, words 3 later, through the queue of words (2) and that of beats (1):
    # beat n is counted in cycle 7 + n. The first burst starts when 16 are: in 22, sent 23..38. The
    # second one starts in 39, is sent 40..43, answered in 45; three cycles to the end.
    assert end(Store(TINY, store, 0, 0, MEMORY)) == 48
    slower = MemoryTiming(read_latency=2, write_latency=9)
    assert end(Store(TINY, store, 0, 0, slower)) == 55


def test_a_store_waits_for_the_layer() -> None:
    """Nothing is read before the feature memory is free."""
    store = {"group": 1, "width": 1, "rows": 1}
    # A word: read in 1, there in 4, given in 6, counted in 7; sent in 8, answered in 10.
    assert end(Store(TINY, store, 0, 0, MEMORY)) == 13
    assert end(Store(TINY, store, 0, 0, MEMORY), lambda cycle: cycle >= 30) == 42

# SPDX-License-Identifier: Apache-2.0
"""Block memories and multipliers of a machine on ECP5: counted by rules, not fitted."""

from __future__ import annotations

from collections.abc import Mapping

from tritone.spec.area import Area
from tritone.spec.fixed import STREAM
from tritone.spec.isa import MAX_WINDOW_CHANNELS
from tritone.spec.machine import BEAT_BITS, MachineConfig, RequantizerKind

__all__ = ["BLOCK_FROM", "block_memories", "hard_area", "hard_blocks"]

# Bits of a word of a block memory, and the words of that many bits that it has.
_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
# Of these bits each such share of a word can be written alone.
_LANE = 9

# Memories of fewer words are made of lookup tables.
BLOCK_FROM = 64

_GROUPS = 2
# Lines of the window gatherer.
_LINES = 2
# Multipliers of a lane of the requantiser: two for the product, one for the shortcut.
_LANE_PRODUCTS = 3


def block_memories(bits: int, granule: int, words: int) -> int:
    """Return the block memories that a memory takes.

    Parameters
    ----------
    bits : of a word.
    granule : bits of it that are written together.
    words : its depth.
    """
    if words < BLOCK_FROM:
        return 0
    width, depth = next((shape for shape in _SHAPES if words <= shape[1]), _SHAPES[-1])
    parts = bits // granule
    if width < _LANE:
        return parts * -(-granule // width) * -(-words // depth)
    lanes = parts * -(-granule // _LANE)
    return -(-lanes // (width // _LANE))


def hard_blocks(machine: MachineConfig) -> Mapping[str, tuple[int, int]]:
    """Return the block memories and multipliers of the modules that have some, by their path."""
    bank = block_memories(
        machine.feature_word_bits, machine.columns * STREAM.bits, machine.feature_words
    )
    line_bits = _LINES * MAX_WINDOW_CHANNELS * STREAM.bits
    scaled = machine.requantizer is RequantizerKind.MULTIPLIER
    adaptive = int(machine.adaptive)
    return {
        "engine.feature_memory": (_GROUPS * machine.banks * bank, 0),
        "engine.weight_memory": (
            block_memories(machine.weight_word_bits, BEAT_BITS, machine.weight_words),
            0,
        ),
        "engine.parameter_memory": (
            block_memories(machine.parameter_word_bits, BEAT_BITS, machine.parameter_words),
            0,
        ),
        "engine.activation_reader": (0, adaptive * machine.rows * machine.pixels),
        "engine.requantizer": (
            0,
            scaled * machine.lanes * _LANE_PRODUCTS + adaptive * machine.slot_channels,
        ),
        "sequencer": (block_memories(BEAT_BITS, BEAT_BITS, machine.instruction_words), 0),
        "dma": (block_memories(line_bits, line_bits, machine.gather_width), 0),
    }


def hard_area(machine: MachineConfig) -> Area:
    """Return the block memories and multipliers of the whole machine."""
    counts = hard_blocks(machine).values()
    return Area(bram=sum(bram for bram, _ in counts), dsp=sum(dsp for _, dsp in counts))

# SPDX-License-Identifier: Apache-2.0
"""The instruction set: fixed words of 512 bits, fetched as 8 beats, least significant first.

A program runs its instructions in order; NEXT closes the loop over images. A layer (CONVOLVE or
POOL) waits for the layer before it, a LOAD for the load before it, a STORE for the store before it;
for another kind an instruction waits only if one of its flags ``wait_load``, ``wait_store`` and
``wait_layer`` says so. Loads, stores and a layer run side by side.
"""

from __future__ import annotations

from enum import IntEnum

from tritone.spec.fixed import (
    BIAS,
    LOGIT,
    MULTIPLIER,
    NIBBLE_BITS,
    OFFSET,
    SHIFT_MAX,
    SHORTCUT_SHIFT_MAX,
    STREAM,
)
from tritone.spec.machine import BEAT_BITS, ISA_VERSION, MachineConfig, RequantizerKind
from tritone.spec.packing import TERM_WORDS, TERMS, Packing
from tritone.spec.pass_plan import TABLE_ENTRIES
from tritone.spec.record import Field, Record

__all__ = [
    "BETA_REGISTERS",
    "CHECK",
    "HALF_PARAMETER",
    "HEADER",
    "INSTRUCTION_BEATS",
    "INSTRUCTION_BITS",
    "ISA_VERSION",
    "LAYER",
    "LOAD",
    "MAX_PASS_STEPS",
    "MAX_WINDOW_CHANNELS",
    "NEXT",
    "PARAMETER",
    "PASS_STEP",
    "RECORDS",
    "STORE",
    "TERMS",
    "TERM_WORDS",
    "WINDOW_KERNEL",
    "Adaptation",
    "Base",
    "MemoryId",
    "Opcode",
    "Packing",
    "PoolMode",
    "parameter_record",
]

INSTRUCTION_BITS = 512
INSTRUCTION_BEATS = INSTRUCTION_BITS // BEAT_BITS

# Passes of the weight codebook times nibbles of the activation.
MAX_PASS_STEPS = 8

# Channels of an image whose windows LOAD can write, and the size of these windows.
MAX_WINDOW_CHANNELS = 4
WINDOW_KERNEL = 3

# Betas that an adaptive machine keeps beside their reciprocals.
BETA_REGISTERS = 4


class Opcode(IntEnum):
    """What an instruction does. 0 is illegal, so that cleared memory stops the machine."""

    CHECK = 1
    LOAD = 2
    STORE = 3
    CONVOLVE = 4
    POOL = 5
    NEXT = 6


class MemoryId(IntEnum):
    """An on-chip memory that LOAD fills."""

    WEIGHT = 0
    PARAMETER = 1
    FEATURE_0 = 2
    FEATURE_1 = 3
    # What packed weights stand for, a TERMS record a word: needs a machine that unpacks them.
    TERMS = 4


class Base(IntEnum):
    """The address in external memory that an offset counts from."""

    PROGRAM = 0  # register program_address
    IMAGE = 1  # register image_address, advanced by NEXT
    RESULT = 2  # register result_address, advanced by NEXT
    # As IMAGE, for a load from the image that follows: the last image skips it.
    NEXT_IMAGE = 3


class PoolMode(IntEnum):
    """What POOL hands to the requantiser as the even sum."""

    MAX = 0
    SUM = 1


class Adaptation(IntEnum):
    """What a layer has to do with an adaptive step; anything but NONE needs an adaptive machine."""

    NONE = 0
    # The result of channel 0 at the first pixel of its last tile is a beta of 512..2048.
    BETA = 1
    # Activations are multiplied by G, the reciprocal of beta.
    STEP = 2
    # And M by beta.
    ADAPTED = 3


_HEADER = (
    Field("opcode", 4, "operation", choices=Opcode),
    Field("wait_load", 1, "start only when no load is under way; loads always do"),
    Field("wait_layer", 1, "start only when no layer is under way; layers always do"),
    Field("wait_store", 1, "start only when no store is under way; stores always do"),
    Field("reserved", 1, "zero"),
)

# A region of a feature memory group: rows of pixels, the R channels of a pixel in one word.
# Pixel x of row y lies in bank x mod 2P at word base + y * row_words + x div 2P.
_REGION = (
    Field("group", 1, "feature memory group"),
    Field("base", 16, "first word"),
    Field("width", 12, "pixels in a row"),
    Field("rows", 16, "rows: channel words of the tensor times its height"),
    Field("row_words", 12, "words of a row in each bank, ceil(width / 2P)"),
)

HEADER = Record("header", INSTRUCTION_BITS, "What all instructions begin with.", _HEADER)

CHECK = Record(
    "check",
    INSTRUCTION_BITS,
    "Stop with FINGERPRINT_MISMATCH unless the program was compiled for this machine.",
    (*_HEADER, Field("fingerprint", 64, "MachineConfig.fingerprint")),
)

LOAD = Record(
    "load",
    INSTRUCTION_BITS,
    "Fill part of an on-chip memory from external memory. Into weight memory goes not a nibble but "
    "its entry of `table`. Into a feature memory: `rows` rows of "
    "`width` pixels of `1 << pixel_bytes` bytes, packed without gaps; the channels behind them "
    "become 0. With `kernel` 3 not the pixels but their windows of 3x3 are written: the bytes of "
    "the window at output pixel (y, x) are the channels of its 9 pixels, row by row, R to a "
    "channel word, behind them zeros.",
    (
        *_HEADER,
        Field("source", 2, "what the offset counts from", choices=Base),
        Field("offset", 32, "bytes, a multiple of 8"),
        Field("memory", 3, "what to fill", choices=MemoryId),
        Field("address", 16, "first word; for a feature memory the base of the region"),
        Field("words", 16, "words to fill; for a feature memory 0"),
        Field("beats", 24, "beats to read"),
        Field("width", 12, "pixels in a row"),
        Field("rows", 16, "rows"),
        Field("row_words", 12, "words of a row in each bank"),
        Field("pixel_bytes", 3, "log2 of the bytes of a pixel; at most R bytes"),
        Field("kernel", 4, "0, or 3 to write windows; these must lie in a feature memory"),
        Field("channels", 3, "windows: bytes of a pixel that count, 1..MAX_WINDOW_CHANNELS"),
        Field("stride", 2, "windows: 1 or 2"),
        Field("pad_top", 4, "windows: rows of padding above"),
        Field("pad_left", 4, "windows: columns of padding on the left"),
        Field("pad_code", 8, "windows: byte outside the image"),
        Field("across", 12, "windows: columns with padding, at most gather_width"),
        Field("down", 12, "windows: rows with padding"),
        Field("plane_words", 16, "windows: words of a channel word"),
        Field(
            "table",
            NIBBLE_BITS * TABLE_ENTRIES,
            "weights: the code that each nibble is stored as, that of nibble n at bit 4n",
        ),
    ),
)

STORE = Record(
    "store",
    INSTRUCTION_BITS,
    "Write a region of a feature memory to external memory: R bytes a pixel, rows without gaps.",
    (
        *_HEADER,
        Field("target", 2, "what the offset counts from", choices=Base),
        Field("offset", 32, "bytes, a multiple of 8"),
        *_REGION,
    ),
)

NEXT = Record(
    "next",
    INSTRUCTION_BITS,
    "End of an image: advance the image and result addresses; if images remain go on at "
    "instruction `target`, else stop with status done when all transfers and layers have ended.",
    (
        *_HEADER,
        Field("target", 16, "index of the first instruction of the loop"),
        Field("image_bytes", 24, "distance of images, a multiple of 8"),
        Field("result_bytes", 24, "distance of results, a multiple of 8"),
    ),
)

PASS_STEP = Record(
    "pass_step",
    8,
    "One walk over the window of a tile.",
    (
        Field("plane", 2, "plane of weights"),
        Field("nibble", 1, "0: bits 3..0 of the activation, 1: bits 7..4"),
        Field("shift", 2, "total shift in units of 4: (pass shift + 4 * nibble) / 4"),
        Field(
            "drain", 1, "hand the accumulators to the requantiser behind this walk and clear them"
        ),
        Field(
            "packing",
            2,
            "log2 of the words of the walk in a weight memory word; not 0 needs a machine that "
            "unpacks them",
            choices=Packing,
        ),
    ),
)

LAYER = Record(
    "layer",
    INSTRUCTION_BITS,
    "CONVOLVE and POOL: for each output channel group, row and tile of P pixels, walk the window "
    "once for each pass step, in the order ky, kx, input channel word (fastest), and requantise. "
    "The first `in_turn` output groups walk over the first `in_channels` channel words of the "
    "input, the next ones over the next words, and so on. POOL reads the channels of its own "
    "output group, R / C groups in turn from a word, ignores the weights, and its one pass step "
    "drains. The shortcut is a tensor in the output's group, which then is not the input's: "
    "output channel c of the first `shortcut_groups` output groups adds "
    "its channel c at stride times the output pixel. Results may replace its pixels where they "
    "stand, or lie elsewhere.",
    (
        *_HEADER,
        Field("in_group", 1, "feature memory group that is read"),
        Field("in_base", 16, "first word of the input"),
        Field("in_width", 12, "input pixels in a row"),
        Field("in_height", 12, "input rows"),
        Field("in_row_words", 12, "words of an input row in each bank"),
        Field("in_plane_words", 16, "words of an input channel word: in_height * in_row_words"),
        Field("in_channels", 8, "input channel words that a walk goes over; 1 for POOL"),
        Field(
            "in_turn",
            8,
            "output groups that read the same input channel words; the next ones read those behind "
            "them",
        ),
        Field("out_base", 16, "first word of the output"),
        Field("out_width", 12, "output pixels in a row"),
        Field("out_height", 12, "output rows"),
        Field("out_row_words", 12, "words of an output row in each bank"),
        Field("out_plane_words", 16, "words of an output channel word"),
        Field("out_channels", 8, "output channel groups of C"),
        Field(
            "stored_rows",
            16,
            "rows stored: output channel words times out_height; of out_width pixels, twice that "
            "if wide",
        ),
        Field("kernel_height", 6, "window rows"),
        Field("kernel_width", 6, "window columns"),
        Field("stride", 2, "1 or 2"),
        Field("pad_top", 4, "rows of padding above"),
        Field("pad_left", 4, "columns of padding on the left"),
        Field(
            "read_shift",
            4,
            "r of the reader: a = clamp(z_a + ((u - z + half(r)) >> r), 0, read_max), and with "
            "an adaptive step clamp((u * G + half(r + 8)) >> (r + 8), 0, read_max)",
        ),
        Field("read_zero", 8, "z of the input tensor"),
        Field("read_offset", 8, "z_a"),
        Field("read_max", 8, "2**b - 1"),
        Field("pad_code", 8, "activation outside the input"),
        Field("weight_base", 16, "first weight word"),
        Field("plane_words", 16, "weight words from a plane to the next"),
        Field(
            "group_words",
            16,
            "words of an output group's walk: window size * in_channels, with packed weights "
            "filled up to whole memory words",
        ),
        Field("pass_steps", 4, "number of pass steps, 1..8"),
        Field("steps", 8 * MAX_PASS_STEPS, "PASS_STEP records, the first in the lowest byte"),
        Field("parameter_base", 16, "first parameter word; a group takes `slots` words"),
        Field("shift", 6, "S; with half octaves d, each channel having its own S, and no K"),
        Field("low", LOGIT.bits, "lower clamp", signed=True),
        Field("high", LOGIT.bits, "upper clamp", signed=True),
        Field(
            "wide",
            1,
            "results of 16 bits, stored as the pixels 2x (low byte) and 2x + 1 (high byte)",
        ),
        Field("pool_mode", 1, "what POOL computes", choices=PoolMode),
        Field("out_group", 1, "feature memory group that is written"),
        Field("shortcut_groups", 8, "output groups of C that add the shortcut; 0 without one"),
        Field("shortcut_base", 16, "first word of the shortcut"),
        Field("shortcut_row_words", 12, "words of a shortcut row in each bank"),
        Field("shortcut_plane_words", 16, "words of a shortcut channel word"),
        Field("shortcut_stride", 1, "log2 of its stride"),
        Field("shortcut_zero", STREAM.bits, "z_k"),
        Field("shortcut_multiplier", MULTIPLIER.bits, "K", signed=True),
        Field("shortcut_shift", SHORTCUT_SHIFT_MAX.bit_length(), "t"),
        Field("adaptation", 2, "whether it makes a beta or reads with one", choices=Adaptation),
        Field(
            "beta_register", (BETA_REGISTERS - 1).bit_length(), "which beta; 0 without adaptation"
        ),
        Field(
            "terms",
            (TERM_WORDS - 1).bit_length(),
            "word of the memory of terms; 0 without packed weights",
        ),
    ),
)

PARAMETER = Record(
    "parameter",
    2 * BEAT_BITS,
    "Requantiser constants of an output channel: y = clamp((v * M + (((k - z_k) * K) << t) + D) >> "
    "S, low, high), v from B, k the shortcut's code. With Adaptation.ADAPTED the lanes take "
    "(M * beta + 512) >> 10 for M.",
    (
        Field(
            "bias",
            BIAS.bits,
            "B: zero points and one's-complement constants of all passes",
            signed=True,
        ),
        Field("multiplier", MULTIPLIER.bits, "M", signed=True),
        Field(
            "offset",
            OFFSET.bits,
            "D: real bias, output zero point and the rounding constant",
            signed=True,
        ),
    ),
)

HALF_PARAMETER = Record(
    "half_parameter",
    2 * BEAT_BITS,
    "The same where the requantiser has half octaves: y = clamp((((v + D) >> S) + ((k - z_k) << "
    "t)) >> d, low, high). v counts 128 for the even and 181 for the odd sum, or turned, sqrt 2 "
    "times as much: 181 for the even and 256 for the odd one.",
    (
        Field("bias", BIAS.bits, "B: as above, of the channel's own v", signed=True),
        Field("turned", 1, "v counts the rails turned"),
        Field("shift", SHIFT_MAX.bit_length(), "S"),
        Field("offset", OFFSET.bits, "D: as above", signed=True),
    ),
)


def parameter_record(machine: MachineConfig) -> Record:
    """Return the record of the requantiser constants of an output channel of ``machine``."""
    match machine.requantizer:
        case RequantizerKind.MULTIPLIER:
            return PARAMETER
        case RequantizerKind.HALF_OCTAVE:
            return HALF_PARAMETER


RECORDS = {
    Opcode.CHECK: CHECK,
    Opcode.LOAD: LOAD,
    Opcode.STORE: STORE,
    Opcode.CONVOLVE: LAYER,
    Opcode.POOL: LAYER,
    Opcode.NEXT: NEXT,
}

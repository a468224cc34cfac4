# SPDX-License-Identifier: Apache-2.0
"""The shape of a machine: a frozen value from which elaboration, tiling and memories follow."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any

from tritone.spec.fixed import (
    BIAS,
    EVEN_TERM,
    MULTIPLIER,
    NIBBLE_BITS,
    OFFSET,
    POWER_TERM,
    STREAM,
)

__all__ = [
    "BEAT_BITS",
    "BEAT_BYTES",
    "ISA_VERSION",
    "MOST_WORDS",
    "PRESETS",
    "ArrayKind",
    "MachineConfig",
    "RequantizerKind",
    "preset",
]

# Changes with the meaning of an instruction, a parameter or a memory layout; in the fingerprint.
ISA_VERSION = 4

# Width of the AXI4 data bus. A memory word of W bits is loaded as ceil(W / 64) beats, least
# significant first.
BEAT_BITS = 64
BEAT_BYTES = BEAT_BITS // 8

# Words of the deepest memory of a machine.
MOST_WORDS = 1 << 16


class ArrayKind(StrEnum):
    """Which weights of 4 bits a lane of the array multiplies by (``spec.array_code``)."""

    POST = "post"  # powers of two, and sqrt 2 times them: two rails
    UNIFORM = "uniform"  # integers
    POT = "pot"  # powers of two, seven magnitudes of them

    @property
    def odd_rail(self) -> bool:
        """Whether it has the rail that counts sqrt 2."""
        return self is ArrayKind.POST


class RequantizerKind(StrEnum):
    """What the requantiser scales sums by."""

    MULTIPLIER = "multiplier"  # a 16-bit multiplier of each channel, one shift a layer
    HALF_OCTAVE = "half_octave"  # 2**(-k/2) of each channel: rails that change places, and shifts


_KINDS: dict[str, type[StrEnum]] = {"array": ArrayKind, "requantizer": RequantizerKind}

# Parameters that came later, with what machines had before: there they do not count.
_LATER: dict[str, object] = {
    "array": ArrayKind.POST,
    "requantizer": RequantizerKind.MULTIPLIER,
    "adaptive": False,
    "packing": False,
}


def _require_integer(thing: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{thing} must be an integer, not {value!r}")


def _require_power_of_two(thing: str, value: int, low: int, high: int) -> None:
    _require_integer(thing, value)
    if not low <= value <= high or value & (value - 1):
        raise ValueError(f"{thing} must be a power of two in {low}..{high}, not {value}")


@dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """Everything that the gateware is generated from.

    Parameters
    ----------
    name : label for people and files; not part of the fingerprint.
    rows : R, input-channel lanes of a dot-product unit; also channels in a feature memory word.
    columns : C, output channels computed at once; divides ``rows``.
    pixels : P, neighbouring output pixels computed at once.
    requantizer_slots : cycles that the C * P outputs of a tile take through the requantiser; its
        lanes are C * P / slots. At least 4, because a partial sum is read back no sooner.
    feature_words : words in each of the 2P banks of each of the two feature memory groups.
    weight_words : words of R * C weight nibbles; a nibble may hold several packed weights.
    parameter_words : words of C / slots requantiser parameters.
    instruction_words : beats of instruction memory; an instruction takes 8.
    gather_width : columns, padding included, of the widest image whose windows a LOAD can write.
    even_bits : width of the raw, unsigned accumulators of the even rail.
    array : which weights it multiplies by; all but POST leave the odd rail out.
    requantizer : what it scales by; half octaves leave the machine without a multiplier.
    adaptive : has what adaptive steps (ASQ) take: a multiplier for each of the R * P activations of
        a step and for each channel of a requantiser slot, and a divider.
    packing : has what unpacks weights that are stored in 1 or 2 bits, behind weight memory.
    """

    name: str
    rows: int
    columns: int
    pixels: int
    requantizer_slots: int = 8
    feature_words: int = 512
    weight_words: int = 1024
    parameter_words: int = 512
    instruction_words: int = 512
    gather_width: int = 64
    even_bits: int = 20
    array: ArrayKind = ArrayKind.POST
    requantizer: RequantizerKind = RequantizerKind.MULTIPLIER
    adaptive: bool = False
    packing: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a string, not {self.name!r}")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(f"name must be of letters, digits, _ and -, not {self.name!r}")
        ranges = {"rows": (8, 64), "columns": (4, 64), "pixels": (1, 8), "gather_width": (4, 2048)}
        ranges |= {"requantizer_slots": (4, 64), "instruction_words": (64, MOST_WORDS)}
        ranges |= {f"{name}_words": (4, MOST_WORDS) for name in ("feature", "weight", "parameter")}
        for name, (low, high) in ranges.items():
            _require_power_of_two(name, getattr(self, name), low, high)
        if self.columns > self.rows:
            raise ValueError(f"columns must not exceed rows ({self.rows}), not {self.columns}")
        if self.requantizer_slots > self.columns:
            raise ValueError(
                f"requantizer_slots must not exceed columns ({self.columns}), "
                f"not {self.requantizer_slots}"
            )
        _require_integer("even_bits", self.even_bits)
        for name in ("adaptive", "packing"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if not 12 <= self.even_bits <= 28:
            raise ValueError(f"even_bits must be in 12..28, not {self.even_bits}")
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be of {kind.__name__}, not {getattr(self, name)!r}")
        if self.even_bits < self.step_most.bit_length():
            raise ValueError(
                f"even_bits must be at least {self.step_most.bit_length()}, for a step of "
                f"{self.rows} rows on an array {self.array}, not {self.even_bits}"
            )
        if self.adaptive and self.requantizer is not RequantizerKind.MULTIPLIER:
            raise ValueError(
                f"requantizer must be multiplier where adaptive is true, not {self.requantizer}"
            )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> MachineConfig:
        """Return the machine of parameters as files have them: kinds are their names.

        Raises
        ------
        ValueError : a parameter that is missing, one or a kind that there is not; as the
            constructor does.
        TypeError : as the constructor does.
        """
        values = dict(values)
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"Machine key must be one of {', '.join(known)}, not {key!r}")
        for field in fields(cls):
            if field.default is MISSING and field.name not in values:
                raise ValueError(f"Machine must have the key {field.name}")
        for name, kind in _KINDS.items():
            names = [each.value for each in kind]
            if name in values and values[name] not in names:
                raise ValueError(f"{name} must be one of {', '.join(names)}, not {values[name]!r}")
            if name in values:
                values[name] = kind(values[name])
        return cls(**values)

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a full step."""
        return self.rows * self.columns * self.pixels

    @property
    def banks(self) -> int:
        """Banks of a feature memory group; pixel x lies in bank x mod banks."""
        return 2 * self.pixels

    @property
    def lanes(self) -> int:
        """Requantiser lanes."""
        return self.columns * self.pixels // self.requantizer_slots

    @property
    def slot_channels(self) -> int:
        """Output channels in a requantiser slot (for all P pixels)."""
        return self.columns // self.requantizer_slots

    @property
    def word_columns(self) -> int:
        """Output channel groups that share a feature memory word."""
        return self.rows // self.columns

    @property
    def feature_word_bits(self) -> int:
        """Bits of a feature memory word: the R channels of one pixel."""
        return self.rows * STREAM.bits

    @property
    def feature_address_bits(self) -> int:
        """Bits of the index of a word in a bank of a feature memory."""
        return (self.feature_words - 1).bit_length()

    @property
    def weight_address_bits(self) -> int:
        """Bits of the index of a word of weight memory."""
        return (self.weight_words - 1).bit_length()

    @property
    def parameter_address_bits(self) -> int:
        """Bits of the index of a word of parameter memory."""
        return (self.parameter_words - 1).bit_length()

    @property
    def weight_word_bits(self) -> int:
        """Bits of a weight memory word: a nibble for each row and column."""
        return self.rows * self.columns * 4

    @property
    def parameter_word_bits(self) -> int:
        """Bits of a parameter memory word: C / slots parameter records of two beats."""
        return self.slot_channels * 2 * BEAT_BITS

    @property
    def odd_bits(self) -> int:
        """Width of the raw, unsigned accumulators of the odd rail, whose terms have a bit less."""
        return self.even_bits - 1 if self.array.odd_rail else 0

    @property
    def plane_bits(self) -> int:
        """Bits of a sum of R activation nibbles: what an array of bit planes inverts."""
        return (self.rows * ((1 << NIBBLE_BITS) - 1)).bit_length()

    @property
    def step_most(self) -> int:
        """What a step adds to an accumulator of the even rail, and no step more."""
        match self.array:
            case ArrayKind.POST:
                return self.rows * EVEN_TERM.high
            case ArrayKind.POT:
                return self.rows * POWER_TERM.high
            case ArrayKind.UNIFORM:
                places = 1 << (NIBBLE_BITS - 1)
                of_rows = self.rows * ((1 << NIBBLE_BITS) - 1) * (places - 1)
                return of_rows + places * ((1 << self.plane_bits) - 1)

    @property
    def tree_levels(self) -> int:
        """Levels of an adder tree."""
        return (self.rows - 1).bit_length()

    @property
    def fingerprint(self) -> int:
        """64 bits that change with every parameter but the name, and with the instruction set."""
        shape = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "name" and getattr(self, field.name) != _LATER.get(field.name)
        }
        shape |= {
            "odd_bits": self.odd_bits,
            "isa": ISA_VERSION,
            "parameter": [MULTIPLIER.bits, BIAS.bits, OFFSET.bits],
        }
        digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).digest()
        return int.from_bytes(digest[:8], "little")


PRESETS = {
    machine.name: machine
    for machine in (
        # The smallest machine there is, for tests.
        MachineConfig(name="tiny", rows=8, columns=8, pixels=1),
        MachineConfig(name="tiny-p2", rows=8, columns=8, pixels=2),
        MachineConfig(name="tiny-p4", rows=8, columns=8, pixels=4),
        # Without a multiplier anywhere.
        MachineConfig(
            name="tiny_half",
            rows=8,
            columns=8,
            pixels=1,
            requantizer=RequantizerKind.HALF_OCTAVE,
        ),
        # Adaptive steps (ASQ), for tests.
        MachineConfig(name="tiny-asq", rows=8, columns=8, pixels=2, adaptive=True),
        # Weights of few levels in 1 or 2 bits, for tests.
        MachineConfig(name="tiny-packed", rows=8, columns=8, pixels=2, packing=True),
        # For weights that are integers, and for powers of two.
        MachineConfig(name="tiny_uniform", rows=8, columns=8, pixels=1, array=ArrayKind.UNIFORM),
        MachineConfig(
            name="tiny_pot", rows=8, columns=8, pixels=1, even_bits=23, array=ArrayKind.POT
        ),
        # 64 multiply-accumulates for the iCE40 UP5K.
        MachineConfig(name="ice40up5k", rows=8, columns=8, pixels=1, feature_words=256),
        # 256 for the ECP5-25.
        MachineConfig(name="ecp5_25", rows=16, columns=16, pixels=1),
        MachineConfig(
            name="ecp5_25_half",
            rows=16,
            columns=16,
            pixels=1,
            requantizer=RequantizerKind.HALF_OCTAVE,
        ),
        # 512: what the demonstration runs on.
        MachineConfig(name="demo", rows=16, columns=16, pixels=2),
        # 1024, for the Zynq-7020; an ECP5-85 lacks four block memories. With 16 requantiser lanes
        # an 8-bit first layer of four drains a tile does not wait for them.
        MachineConfig(
            name="ecp5_85", rows=16, columns=16, pixels=4, requantizer_slots=4, weight_words=2048
        ),
        # The same with 8 lanes, for the ECP5-85.
        MachineConfig(name="ecp5_85_lean", rows=16, columns=16, pixels=4, weight_words=2048),
        # The same for integers, and for powers of two, whose terms are 8 times as large.
        MachineConfig(
            name="ecp5_85_uniform",
            rows=16,
            columns=16,
            pixels=4,
            requantizer_slots=4,
            weight_words=2048,
            array=ArrayKind.UNIFORM,
        ),
        MachineConfig(
            name="ecp5_85_pot",
            rows=16,
            columns=16,
            pixels=4,
            requantizer_slots=4,
            weight_words=2048,
            even_bits=23,
            array=ArrayKind.POT,
        ),
        # ecp5_85 with adaptive steps: a ResNet-20 has 19 adapters, of three layers each.
        MachineConfig(
            name="ecp5_85_asq",
            rows=16,
            columns=16,
            pixels=4,
            requantizer_slots=4,
            weight_words=2048,
            parameter_words=1024,
            instruction_words=2048,
            adaptive=True,
        ),
        MachineConfig(
            name="xc7z020",
            rows=16,
            columns=16,
            pixels=4,
            requantizer_slots=4,
            weight_words=2048,
            feature_words=1024,
        ),
        # Every parameter off its default, for checks of the generator.
        MachineConfig(
            name="full",
            rows=32,
            columns=16,
            pixels=4,
            requantizer_slots=4,
            feature_words=1024,
            weight_words=4096,
            parameter_words=1024,
            instruction_words=1024,
            gather_width=128,
            even_bits=22,
        ),
    )
}


def preset(name: str) -> MachineConfig:
    """Return the preset of that name."""
    if name not in PRESETS:
        raise ValueError(f"Machine must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]

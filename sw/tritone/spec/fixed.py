# SPDX-License-Identifier: Apache-2.0
"""Fixed-point formats and the constants of the integer semantics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "ACTIVATION",
    "BETA",
    "BETA_HIGH",
    "BETA_LOW",
    "BIAS",
    "EVEN_TERM",
    "FINE_STREAM",
    "GAIN",
    "GAIN_FRACTION",
    "INPUT_STEP",
    "INPUT_ZERO",
    "LOGIT",
    "MULTIPLIER",
    "NIBBLE_BITS",
    "ODD_TERM",
    "OFFSET",
    "POWER_TERM",
    "SHIFT_MAX",
    "SHORTCUT_SHIFT_MAX",
    "SQRT2",
    "SQRT2_FRACTION",
    "SQRT2_NUMERATOR",
    "STREAM",
    "STREAMS",
    "SUM",
    "VALUE",
    "FixedFormat",
    "Overflow",
    "Rounding",
    "StreamFormat",
    "half",
]


class Rounding(Enum):
    """How bits below the last place are dropped."""

    HALF_UP = "half_up"  # (x + half(n)) >> n: what every rounding of the machine is
    FLOOR = "floor"  # x >> n: arithmetic shift


class Overflow(Enum):
    """What happens to a value outside the range."""

    SATURATE = "saturate"
    WRAP = "wrap"  # modulo 2^bits
    REFUSE = "refuse"  # the compiler proves that it cannot happen


@dataclass(frozen=True, kw_only=True)
class FixedFormat:
    """An integer ``n`` of ``bits`` bits that means ``n / 2**frac``."""

    bits: int
    signed: bool
    frac: int = 0
    rounding: Rounding = Rounding.HALF_UP
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ValueError(f"Format width must be a positive number of bits, not {self.bits!r}")

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest code."""
        return (1 << (self.bits - self.signed)) - 1

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}" + (f".{self.frac}" if self.frac else "")


@dataclass(frozen=True, kw_only=True)
class StreamFormat(FixedFormat):
    """Codes of a tensor; an adaptive step (ASQ) is beta times its own, in 1/2**h..2**h."""

    headroom: int  # h: what beta above 1 needs of the codes

    @property
    def beta_low(self) -> int:
        """Smallest beta in U2.10."""
        return 1 << (BETA.frac - self.headroom)

    @property
    def beta_high(self) -> int:
        """Largest beta in U2.10, whose largest is 2**-10 less than 4."""
        return min(1 << (BETA.frac + self.headroom), BETA.high)

    @property
    def adapted_high(self) -> int:
        """Largest magnitude of an M that follows beta: ``(M * beta + 512) >> 10`` is an M too."""
        return MULTIPLIER.high >> self.headroom

    @property
    def shortcut_shift_max(self) -> int:
        """Largest t of a shortcut: ``((k - z_k) * K) << t`` takes 55 bits, and SUM holds it too."""
        return SHORTCUT_SHIFT_MAX - (self.bits - STREAM.bits)


def half(n: int) -> int:
    """Return half of 2**n, which makes a right shift by ``n`` round half up; 0 for n = 0."""
    return (1 << n) >> 1


# sqrt 2 is 181/128 by definition, in the levels of the fake quantiser too (relative error 1.05e-4).
SQRT2_NUMERATOR = 181
SQRT2_FRACTION = 7
SQRT2 = SQRT2_NUMERATOR / (1 << SQRT2_FRACTION)

STREAM = StreamFormat(bits=8, signed=False, headroom=1)  # code of a tensor
# A code of networks whose adaptive steps reach further: trained and evaluated, on no machine yet.
FINE_STREAM = StreamFormat(bits=12, signed=False, headroom=2)
STREAMS = {form.bits: form for form in (STREAM, FINE_STREAM)}
ACTIVATION = FixedFormat(bits=8, signed=False)  # what a layer reads, at most; b bits of it
NIBBLE_BITS = 4  # width of an activation in the array; wider ones take a pass per nibble
EVEN_TERM = FixedFormat(bits=NIBBLE_BITS + 3, signed=False)  # a nibble times 1, 2, 4 or 8
ODD_TERM = FixedFormat(bits=NIBBLE_BITS + 2, signed=False)  # a nibble times 1, 2 or 4
POWER_TERM = FixedFormat(bits=NIBBLE_BITS + 6, signed=False)  # a nibble times 1, 2 .. 64
MULTIPLIER = FixedFormat(bits=16, signed=True, overflow=Overflow.REFUSE)  # M
BIAS = FixedFormat(bits=40, signed=True, overflow=Overflow.REFUSE)  # B
OFFSET = FixedFormat(bits=48, signed=True, overflow=Overflow.REFUSE)  # D
VALUE = FixedFormat(bits=36, signed=True, overflow=Overflow.WRAP)  # v; the true value fits
SUM = FixedFormat(bits=56, signed=True, overflow=Overflow.REFUSE)  # v * M + D
LOGIT = FixedFormat(bits=16, signed=True)  # result of the last layer
SHIFT_MAX = 40  # S is in 0..40
SHORTCUT_SHIFT_MAX = 31  # t is in 0..31, less for wider codes: see shortcut_shift_max
# Half octaves: a channel's scale is 2**(-k/2), k in -1..80, so that its S is in 0..40 here too.
HALF_OCTAVES_LOW = -1
HALF_OCTAVES_HIGH = 2 * SHIFT_MAX
OCTAVES_MAX = 7  # a shortcut's step is the output's times 2**-7..2**7: beyond, nothing is added

# Adaptive steps (ASQ): the reciprocal of beta that a reader multiplies by has 8 places.
BETA = FixedFormat(bits=12, signed=False, frac=10)
GAIN_FRACTION = 8
# On machines, whose streams have 8 bits: beta is in 1/2..2.
BETA_LOW = STREAM.beta_low
BETA_HIGH = STREAM.beta_high
GAIN = FixedFormat(bits=10, signed=False, frac=GAIN_FRACTION)  # 128..512

# A raw input byte u means (u - INPUT_ZERO) * INPUT_STEP.
INPUT_ZERO = 128
INPUT_STEP = 1 / 64

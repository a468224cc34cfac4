# SPDX-License-Identifier: Apache-2.0
"""What does not fit is refused, with what is short and what would do."""

from __future__ import annotations

import re

import pytest

from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.synthesis.fit import require_fit, require_hard_blocks


def test_what_fits() -> None:
    """All that a device has may be taken."""
    small = device("ecp5-25k")
    require_fit(preset("tiny"), small, Area(sites=24_288, ff=24_288, bram=56, dsp=28))
    require_hard_blocks(preset("tiny"), small, Area(bram=24))
    # Rules are for ECP5 only.
    require_hard_blocks(preset("tiny"), device("ice40up5k"))


WORDS = "take fewer feature_words, weight_words or parameter_words"
PACKING = "(packing keeps weights of 1 or 2 bits in fewer)"


@pytest.mark.parametrize(
    ("machine", "place", "area", "message"),
    [
        # A larger device of the family. Rules do not tell of sites, so no preset is named.
        (
            "tiny",
            "ecp5-25k",
            Area(sites=30_000, bram=57),
            "30,000 sites (it has 24,288), 57 bram (it has 56); ecp5-85k has enough",
        ),
        (
            "full",
            "xc7-a100t",
            Area(ff=130_000),
            "130,000 ff (it has 126,800); take fewer rows, columns or pixels",
        ),
        # Memories: also presets, of the same array and no larger.
        (
            "ecp5_85",
            "ecp5-85k",
            Area(sites=70_000, bram=212, dsp=48),
            (
                f"212 bram (it has 208); {WORDS} {PACKING}; "
                "presets that need no more: ecp5_85_lean, demo, tiny-p4"
            ),
        ),
        (
            "ecp5_85_uniform",
            "ecp5-85k",
            Area(sites=70_000, bram=212, dsp=48),
            f"212 bram (it has 208); {WORDS} {PACKING}; presets that need no more: tiny_uniform",
        ),
        # What stands around the machine stays: 50 block memories leave 158.
        (
            "ecp5_85",
            "ecp5-85k",
            Area(bram=262, dsp=48),
            (
                f"262 bram (it has 208); {WORDS} {PACKING}; "
                "presets that need no more: demo, tiny-p4, ecp5_25"
            ),
        ),
        # An iCE40 is the only one of its family; ``tiny-packed`` has 40 block memories on ECP5.
        (
            "tiny-packed",
            "ice40up5k",
            Area(sites=5_000, bram=140, spram=5),
            (
                f"140 bram (it has 30), 5 spram (it has 4); {WORDS}; "
                "of another family ecp5-25k or ecp5-85k has enough"
            ),
        ),
        # Multipliers: of the requantiser, of adaptive steps.
        (
            "xc7z020",
            "ecp5-85k",
            Area(sites=84_000, dsp=157),
            (
                "84,000 sites (it has 83,640), 157 dsp (it has 156); take fewer rows, columns or "
                "pixels and more requantizer_slots, or the requantizer half_octave without any"
            ),
        ),
        ("tiny-asq", "gowin-gw2a18", Area(dsp=49), "49 dsp (it has 48); take no adaptive steps"),
        (
            "tiny_half",
            "gowin-gw2a18",
            Area(dsp=49),
            "49 dsp (it has 48); take fewer columns or pixels",
        ),
    ],
)
def test_what_does_not_fit(machine: str, place: str, area: Area, message: str) -> None:
    """What is short is named with what there is, and what has enough of it."""
    pattern = re.escape(f"Machine {machine} must fit {place}, not need {message}")
    with pytest.raises(ValueError, match=f"^{pattern}$"):
        require_fit(preset(machine), device(place), area)


def test_what_rules_tell() -> None:
    """``demo`` has 108 block memories; an ECP5-25 has 56, as many as ``tiny-p4`` takes."""
    message = re.escape(
        "Machine demo must fit ecp5-25k, not need 108 bram (it has 56); ecp5-85k has enough; "
        "presets that need no more: tiny-p4, tiny-p2, tiny-asq"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        require_hard_blocks(preset("demo"), device("ecp5-25k"))
    with pytest.raises(ValueError, match=r"not need 109 bram .* more: tiny-p2, "):
        require_hard_blocks(preset("demo"), device("ecp5-25k"), Area(bram=1))

# SPDX-License-Identifier: Apache-2.0
"""Machine shapes: derived widths, checks and the fingerprint."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tritone.spec.machine import PRESETS, ArrayKind, MachineConfig, RequantizerKind, preset

BASE = MachineConfig(name="base", rows=16, columns=16, pixels=2)

# For every parameter another value that is legal beside BASE.
OTHER: dict[str, dict[str, Any]] = {
    "rows": {"rows": 32},
    "columns": {"columns": 8},
    "pixels": {"pixels": 4},
    "requantizer_slots": {"requantizer_slots": 4},
    "feature_words": {"feature_words": 1024},
    "weight_words": {"weight_words": 2048},
    "parameter_words": {"parameter_words": 1024},
    "gather_width": {"gather_width": 128},
    "instruction_words": {"instruction_words": 1024},
    "even_bits": {"even_bits": 21},
    "requantizer": {"requantizer": RequantizerKind.HALF_OCTAVE},
    "adaptive": {"adaptive": True},
    "packing": {"packing": True},
    "array": {"array": ArrayKind.POT},
}


def test_every_parameter_changes_the_fingerprint() -> None:
    """The fingerprint differs for each parameter."""
    parameters = {field.name for field in fields(MachineConfig)} - {"name"}
    assert parameters == set(OTHER)
    prints = [replace(BASE, **change).fingerprint for change in OTHER.values()]
    assert len({BASE.fingerprint, *prints}) == 1 + len(OTHER)


def test_the_name_is_a_label() -> None:
    """Two names for one shape have one fingerprint, of 64 bits."""
    assert replace(BASE, name="other").fingerprint == BASE.fingerprint
    assert 0 < BASE.fingerprint < 1 << 64


def test_the_fingerprint_is_stable() -> None:
    """Stored programs rely on this number; it changes with ISA_VERSION only."""
    assert preset("tiny").fingerprint == 0xF62528CEBBCFB0A7


def test_derived_figures() -> None:
    """What follows from R = 32, C = 16, P = 4, 8 slots; worked out by hand."""
    machine = MachineConfig(name="m", rows=32, columns=16, pixels=4, requantizer_slots=8)
    assert machine.macs_per_cycle == 2048
    assert machine.banks == 8
    assert machine.lanes == 8
    assert machine.slot_channels == 2
    assert machine.word_columns == 2
    assert machine.feature_word_bits == 256
    assert machine.weight_word_bits == 2048
    assert machine.parameter_word_bits == 256
    assert machine.tree_levels == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 12}, r"^rows must be a power of two in 8..64, not 12$"),
        ({"rows": 4, "columns": 4}, r"^rows must be a power of two in 8..64, not 4$"),
        ({"columns": 128}, r"^columns must be a power of two in 4..64, not 128$"),
        ({"pixels": 16}, r"^pixels must be a power of two in 1..8, not 16$"),
        ({"columns": 32}, r"^columns must not exceed rows \(16\), not 32$"),
        ({"requantizer_slots": 32}, r"^requantizer_slots must not exceed columns \(16\), not 32$"),
        ({"feature_words": 0}, r"^feature_words must be a power of two in 4..65536, not 0$"),
        ({"even_bits": 11}, r"^even_bits must be in 12..28, not 11$"),
        ({"even_bits": 29}, r"^even_bits must be in 12..28, not 29$"),
        (
            {"rows": 64, "even_bits": 12},
            r"^even_bits must be at least 13, for a step of 64 rows on an array post, not 12$",
        ),
        (
            {"array": ArrayKind.POT, "even_bits": 13},
            r"^even_bits must be at least 14, for a step of 16 rows on an array pot, not 13$",
        ),
        (
            {"array": ArrayKind.UNIFORM, "rows": 32, "even_bits": 12},
            r"^even_bits must be at least 13, for a step of 32 rows on an array uniform, not 12$",
        ),
    ],
)
def test_bad_shapes_are_refused(change: dict[str, Any], message: str) -> None:
    """Each parameter is checked with its own message."""
    with pytest.raises(ValueError, match=message):
        replace(BASE, **change)


@pytest.mark.parametrize("value", ["16", 16.0, True, None])
def test_parameters_must_be_integers(value: Any) -> None:
    """A number of another type is a TypeError."""
    with pytest.raises(TypeError, match=r"^rows must be an integer, not "):
        replace(BASE, rows=value)


def test_adaptive_steps_multiply() -> None:
    """A machine without multipliers has none."""
    message = r"^requantizer must be multiplier where adaptive is true, not half_octave$"
    with pytest.raises(ValueError, match=message):
        replace(BASE, adaptive=True, requantizer=RequantizerKind.HALF_OCTAVE)


@pytest.mark.parametrize("value", [1, "true", None])
def test_adaptive_is_true_or_false(value: Any) -> None:
    """A number is neither."""
    with pytest.raises(TypeError, match=r"^adaptive must be true or false, not "):
        replace(BASE, adaptive=value)


def test_accumulator_widths_must_be_integers() -> None:
    """Widths are checked like the other parameters."""
    values: dict[str, Any] = {"even_bits": "20"}
    with pytest.raises(TypeError, match=r"^even_bits must be an integer, not '20'$"):
        replace(BASE, **values)


def test_kinds_must_be_kinds() -> None:
    """Names are for files; these are checked too."""
    values: dict[str, Any] = {"requantizer": "half_octave"}
    with pytest.raises(TypeError, match=r"^requantizer must be of RequantizerKind, not 'half_"):
        replace(BASE, **values)
    file = {"name": "base", "rows": 16, "columns": 16, "pixels": 2}
    half = MachineConfig.from_values(file | values)
    assert half == replace(BASE, requantizer=RequantizerKind.HALF_OCTAVE)
    assert MachineConfig.from_values(file) == BASE
    message = r"^requantizer must be one of multiplier, half_octave, not 'none'$"
    with pytest.raises(ValueError, match=message):
        MachineConfig.from_values(file | {"requantizer": "none"})
    with pytest.raises(ValueError, match=r"^array must be one of post, uniform, pot, not 'fp4'$"):
        MachineConfig.from_values(file | {"array": "fp4"})


def test_parameters_must_be_known() -> None:
    """A file of another version may have others: odd_bits follows from the kind of the array."""
    file = {"name": "base", "rows": 16, "columns": 16, "pixels": 2, "odd_bits": 19}
    message = r"^Machine key must be one of name, rows, .*, even_bits, array, .*, not 'odd_bits'$"
    with pytest.raises(ValueError, match=message):
        MachineConfig.from_values(file)
    del file["odd_bits"], file["rows"]
    with pytest.raises(ValueError, match=r"^Machine must have the key rows$"):
        MachineConfig.from_values(file)


def test_rails() -> None:
    """An odd term has a bit less than an even one; an array of one rail has no odd accumulator."""
    widths = {kind: replace(BASE, array=kind).odd_bits for kind in ArrayKind}
    assert widths == {ArrayKind.POST: 19, ArrayKind.UNIFORM: 0, ArrayKind.POT: 0}


def test_largest_steps() -> None:
    """Of 16 rows: all activations 15 less than nothing, or times 7 and the inverted sign plane."""
    most = {kind: replace(BASE, array=kind).step_most for kind in ArrayKind}
    assert most == {
        ArrayKind.POST: 16 * 127,
        ArrayKind.UNIFORM: 16 * 15 * 7 + 8 * 255,
        ArrayKind.POT: 16 * 1023,
    }
    assert BASE.plane_bits == 8  # 16 * 15 = 240


def test_presets() -> None:
    """A preset is found by its name; a wrong name gets the list."""
    assert all(preset(name).name == name for name in PRESETS)
    assert {(m.rows, m.columns, m.pixels) for m in PRESETS.values()} >= {
        (8, 8, 1),
        (8, 8, 2),
        (8, 8, 4),
        (16, 16, 1),
        (16, 16, 2),
        (16, 16, 4),
    }
    with pytest.raises(ValueError, match=r"^Machine must be one of tiny, .*, not 'huge'$"):
        preset("huge")

# SPDX-License-Identifier: Apache-2.0
"""The picture of results shows every setting."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from tritone.cli.results_picture import draw_top1, setting_names, top1_digest

COLUMNS = {
    "model": "small",
    "weight_bits": 4,
    "act_bits": 4,
    "codebook": "post4",
    "estimator": "ste",
    "activations": "lsq",
    "multipliers": "integer",
    "distillation": 0.0,
    "arithmetic": "float32",
    "epochs": 12,
    "seed": 0,
    "top1_fp32": 91.7,
    "top1_frozen": 90.0,
    "setting": "a",
}
ROWS: list[dict[str, Any]] = [
    COLUMNS,
    COLUMNS | {"seed": 1, "top1_frozen": 90.5},
    COLUMNS | {"setting": "b", "codebook": "int4", "top1_frozen": 91.2},
    COLUMNS | {"setting": "c", "weight_bits": 2, "act_bits": 2, "estimator": "ewgs"},
]


def test_names_say_what_is_unusual() -> None:
    """The codebook always; estimator, activations, multipliers, teacher; epochs that differ."""
    assert setting_names([[ROWS[0]], [ROWS[2]]]) == ["post4", "int4"]
    rows = [
        COLUMNS,
        COLUMNS | {"estimator": "ewgs", "epochs": 30, "epochs_exact": 2},
        COLUMNS | {"distillation": 0.5, "activations": "asq step", "multipliers": "half_octave"},
    ]
    assert setting_names([[row] for row in rows]) == [
        "post4, 12 epochs",
        "post4, ewgs, 30 epochs, 2 exact",
        "post4, asq step, half_octave, teacher 0.5, 12 epochs",
    ]


def test_the_picture(tmp_path: Path) -> None:
    """An SVG that names what it is of, with all figures; the same rows give the same bytes."""
    path = tmp_path / "rows.svg"
    # Another setting that has the same name: 90.25 is the mean of 90.0 and 90.5.
    rows = [*ROWS, COLUMNS | {"setting": "d", "top1_frozen": 88.0}]
    draw_top1(rows, path)
    data = path.read_bytes()
    assert ElementTree.fromstring(data).tag.endswith("svg")
    text = data.decode()
    comments = [line.strip()[5:-4] for line in text.splitlines() if line.strip().startswith("<!--")]
    names = ["post4", "int4", "post4, ewgs", "small, W4A4", "small, W2A2"]
    figures = ["90.25 ± 0.35", "91.20", "90.00", "88.00"]
    assert {*names, *figures} <= set(comments)
    assert comments.count("post4") == 2
    assert "full precision, 91.70 %" in comments
    assert top1_digest(rows) in text
    draw_top1(rows, path)
    assert path.read_bytes() == data


def test_the_digest_is_that_of_the_points() -> None:
    """A top-1 changes it, the command and the order of the rows do not."""
    digest = top1_digest(ROWS)
    assert top1_digest(ROWS[::-1]) == digest
    assert top1_digest([ROWS[0] | {"command": "x"}, *ROWS[1:]]) == digest
    assert top1_digest([ROWS[0] | {"top1_frozen": 90.01}, *ROWS[1:]]) != digest
    assert top1_digest([ROWS[0] | {"epochs_exact": None}, *ROWS[1:]]) == digest
    assert top1_digest([ROWS[0] | {"epochs_exact": 2}, *ROWS[1:]]) != digest

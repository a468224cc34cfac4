# SPDX-License-Identifier: Apache-2.0
"""Pages of results say what the rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.results_page import group_settings, has_picture, render
from tritone.qat.identity import setting_digest
from tritone.qat.recipe import DataChoice, load_recipe, render_recipe

TABLE = Path("nowhere/things.json")


def row(**values: Any) -> dict[str, Any]:
    """Return a row of a trained network."""
    return {
        "model": "small",
        "estimator": "ste",
        "codebook": "post4",
        "weight_bits": 4,
        "act_bits": 4,
        "activations": "lsq",
        "multipliers": "integer",
        "distillation": 0.0,
        "arithmetic": "float32",
        "epochs": 12,
        "seed": 0,
        "top1_fp32": 91.73,
        "top1_quant": 91.0,
        "top1_frozen": 90.0,
        "golden_equal": 10000,
        "device": "CPU",
        "command": "run it",
        "recipe": "recipes/first.toml",
        "setting": "a",
    } | values


def lines_of(*rows: dict[str, Any], table: Path = TABLE) -> list[str]:
    """Return the lines of the page of these rows."""
    return render(table, rows).splitlines()


def test_a_table_of_anything() -> None:
    """Figures have two digits behind the point, shares are in percent, nothing is a dash."""
    rows = [{"model": "small", "top1": 98.456, "utilisation": 0.125, "seed": None, "command": "x"}]
    lines = lines_of(*rows)
    assert lines[0] == "# Results: things"
    assert lines[-3:] == [
        "| model | top1 | utilisation | seed | command |",
        "|---|---|---|---|---|",
        "| small | 98.46 | 12.50 % | - | `x` |",
    ]


def test_seeds_share_a_line() -> None:
    """90.0, 90.3 and 90.9 have the mean 90.4 and the standard deviation sqrt(0.42 / 2)."""
    rows = [
        row(seed=2, top1_frozen=90.9, command="third"),
        row(seed=0, command="first"),
        row(seed=1, top1_frozen=90.3, golden_equal=None, command="second"),
    ]
    lines = lines_of(*rows)
    (line,) = (line for line in lines if line.startswith("| post4"))
    assert line == (
        "| post4 | ste | lsq | integer | 0 | float32 | 12 | 0, 1, 2 | 91.73 | 91.00 | 90.40 ± 0.46 "
        "| 10,000, - | CPU | first |"
    )
    assert lines[-7:] == ["## Commands", "", "```", "first", "second", "third", "```"]


def test_columns_that_nobody_needs() -> None:
    """What no row of a section has makes no column; static steps have one where there are some."""
    asq = row(setting="b", activations="asq", top1_static=90.5)
    other = row(setting="c", weight_bits=2, golden_equal=None)
    heads = [line for line in lines_of(row(), asq, other) if line.startswith("| codebook")]
    assert ["top1 static" in head for head in heads] == [True, False]
    assert ["golden equal" in head for head in heads] == [True, False]
    (line,) = (line for line in lines_of(row(), asq) if "| asq |" in line)
    assert "| 90.00 | 90.50 | 10,000 |" in line


def test_settings_are_grouped_by_bits() -> None:
    """A section for each pair of bits, most bits first; settings by epochs and codebook."""
    rows = [
        row(setting="b", weight_bits=2, act_bits=2, codebook="post2"),
        row(setting="c", epochs=30),
        row(setting="d", codebook="int4"),
        row(setting="a"),
    ]
    lines = lines_of(*rows)
    assert [line for line in lines if line.startswith("## small")] == [
        "## small, 4-bit weights, 4-bit activations",
        "## small, 2-bit weights, 2-bit activations",
    ]
    cells = [line.split(" | ") for line in lines if " | ste | " in line]
    assert [(each[0], each[6]) for each in cells] == [
        ("| int4", "12"),
        ("| post4", "12"),
        ("| post4", "30"),
        ("| post2", "12"),
    ]
    assert [len(group) for group in group_settings([*rows, row(seed=1)])] == [1, 2, 1, 1]


def test_a_picture_where_there_is_something_to_compare() -> None:
    """Two settings; not two seeds, and no figures of machines."""
    assert not has_picture([row(), row(seed=1)])
    assert not has_picture([{"cycles": 3}, {"cycles": 4}])
    assert has_picture([row(), row(setting="b")])
    assert "![Top-1 by codebook and bits](things.svg)" in lines_of(row(), row(setting="b"))
    assert "svg" not in render(TABLE, [row()])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table with three recipes beside it, one of them measured on validation images."""
    recipe = load_recipe("digits_quick")
    folder = tmp_path / "recipes"
    (folder / "more").mkdir(parents=True)
    (folder / "first.toml").write_text(render_recipe(recipe))
    (folder / "more" / "second.toml").write_text(render_recipe(replace(recipe, batch=32)))
    tuning = replace(recipe, batch=16, data=DataChoice(validation=100))
    (folder / "tuning.toml").write_text(render_recipe(tuning))
    return tmp_path / "digits.json"


def test_recipes_that_were_not_run(table: Path) -> None:
    """Those of the data set on test images whose setting and seed have no row; others are links."""
    done = row(setting=setting_digest(load_recipe("digits_quick")))
    lines = lines_of(done, table=table)
    start = lines.index("## Not run")
    assert lines[start : start + 4] == [
        "## Not run",
        "",
        "- [second](recipes/more/second.toml)",
        "",
    ]
    assert any(line.endswith("| [first](recipes/first.toml) |") for line in lines)

    lines = lines_of(done | {"seed": 1}, table=table)
    start = lines.index("## Not run")
    assert lines[start + 2] == "- [first](recipes/first.toml)"
    assert "## Not run" not in lines_of(row(), table=table.with_name("cifar10.json"))


def test_estimates_beside_synthesis() -> None:
    """A line for each machine, errors with their sign, and each block's worst one below."""
    rows = [
        {
            "machine": name,
            "adaptive": name == "b",
            "estimated_sites": estimated,
            "mapped_sites": 1000,
            "sites_error_percent": (estimated - 1000) / 10,
            "blocks": {"pool": [estimated - 900, 100], "ports": [900, 900]},
            "command": "do it",
        }
        for name, estimated in (("a", 1005), ("b", 970))
    ]
    lines = lines_of(*rows)
    assert lines[2].startswith("Rendered from things.json by `tritone report`. Machines that were")
    assert lines[-9:] == [
        "| machine | adaptive | estimated sites | mapped sites | sites error percent | command |",
        "|---|---|---|---|---|---|",
        "| a | no | 1,005 | 1,000 | +0.50 | `do it` |",
        "| b | yes | 970 | 1,000 | -3.00 | `do it` |",
        "",
        "| block | worst error percent | sites | machine |",
        "|---|---|---|---|",
        "| pool | -30.0 | -30 | b |",
        "| ports | +0.0 | +0 | a |",
    ]

# SPDX-License-Identifier: Apache-2.0
"""Recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.qat.recipe import (
    Optimizer,
    load_recipe,
    parse_recipe,
    recipe_names,
    render_recipe,
)

TEXT = """\
name = "mine"
dataset = "digits"
model = "digits"
seed = 1
batch = 8
optimizer = "sgd"

[precision]
weights = "post4"
act_bits = 4

[pretrain]
epochs = 1
learning_rate = 1

[finetune]
epochs = 2
learning_rate = 1e-05
quantizer_learning_rate = 0.01
"""


def test_all_that_come_with_tritone_load() -> None:
    """The demo is 4-bit POST with 8-bit edges."""
    assert recipe_names() == ["digits", "digits_quick"]
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert (recipe.precision.weights, recipe.precision.act_bits) == ("post4", 4)
        assert (recipe.precision.edge_weights, recipe.precision.edge_act_bits) == ("int8", 8)


def test_values_and_defaults() -> None:
    """Numbers, enums and sections become what the dataclasses say."""
    recipe = parse_recipe(TEXT)
    assert recipe.optimizer is Optimizer.SGD
    assert type(recipe.pretrain.learning_rate) is float
    assert recipe.finetune.learning_rate == 1e-5
    assert (recipe.shift, recipe.threads, recipe.finetune.weight_decay) == (0, 1, 0.0)


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    """A path to TOML is as good as a name."""
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    assert load_recipe(path) == load_recipe(str(path)) == parse_recipe(TEXT)


@pytest.mark.parametrize("name", ["digits", "digits_quick"])
def test_rendering_is_the_inverse_of_parsing(name: str) -> None:
    """The copy in a run folder is the recipe."""
    recipe = load_recipe(name)
    assert parse_recipe(render_recipe(recipe)) == recipe


def test_text_is_escaped() -> None:
    """Quotes and backslashes survive."""
    recipe = parse_recipe(TEXT.replace('"mine"', "'a\\b\"c'"))
    assert recipe.name == 'a\\b"c'
    assert parse_recipe(render_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 1", "sede = 1", r"^Recipe key must be one of name, dataset, .*, not 'sede'$"),
        (
            "act_bits = 4",
            "bits = 4",
            r"^Recipe key must be one of precision\.weights, .*, not 'precision\.bits'$",
        ),
        ("seed = 1\n", "", r"^Recipe must have the key seed$"),
        ("act_bits = 4\n", "", r"^Recipe must have the key precision\.act_bits$"),
        ('"sgd"', '"lion"', r"^Recipe optimizer must be one of sgd, adamw, not 'lion'$"),
        ("seed = 1", "seed = -1", r"^Recipe seed must not be negative, not -1$"),
        ("batch = 8", "batch = 0", r"^Recipe batch must be positive, not 0$"),
        ("epochs = 1", "epochs = 0", r"^Recipe pretrain epochs must be positive, not 0$"),
        ("epochs = 2", "epochs = 0", r"^Recipe finetune epochs must be positive, not 0$"),
        (
            "learning_rate = 1\n",
            "learning_rate = nan\n",
            r"^Recipe pretrain learning_rate must .*$",
        ),
        ('"mine"', '""', r"^Recipe name must not be empty$"),
        ('"post4"', '"post9"', r"^Codebook must be one of .*, not 'post9'$"),
        ("act_bits = 4", "act_bits = 9", r"^Precision act_bits must be in 1\.\.8, not 9$"),
        ("seed = 1", "seed =", r"^Recipe must be TOML: .*$"),
    ],
)
def test_refuses_values(old: str, new: str, message: str) -> None:
    """A recipe that cannot be meant is refused in one line that names the key."""
    assert old in TEXT
    with pytest.raises(ValueError, match=message):
        parse_recipe(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 1", 'seed = "1"', r"^Recipe seed must be of type int, not '1'$"),
        ("seed = 1", "seed = true", r"^Recipe seed must be of type int, not True$"),
        ("batch = 8", "batch = 8.0", r"^Recipe batch must be of type int, not 8\.0$"),
        ("[precision]", "precision = 4\n[x]", r"^Recipe precision must be a table, not 4$"),
    ],
)
def test_refuses_types(old: str, new: str, message: str) -> None:
    """Nothing is converted but an integer to a real number."""
    text = TEXT.replace(old, new).replace('[x]\nweights = "post4"\nact_bits = 4\n', "")
    with pytest.raises(TypeError, match=message):
        parse_recipe(text)


@pytest.mark.parametrize("name", ["nothing", "nothing.toml"])
def test_refuses_an_unknown_recipe(name: str) -> None:
    """The known names are listed."""
    message = rf"^Recipe must be one of digits, digits_quick or a \.toml file, not '{name}'$"
    with pytest.raises(ValueError, match=message):
        load_recipe(name)

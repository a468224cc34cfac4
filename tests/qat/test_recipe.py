# SPDX-License-Identifier: Apache-2.0
"""Recipes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from own_network import NETWORK, write_recipe

from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.estimators import EstimatorKind
from tritone.qat.method import LayerMethod, WeightMethod
from tritone.qat.precision import Multipliers
from tritone.qat.pretrained import Normalization, Pretrained
from tritone.qat.recipe import (
    ExactTuning,
    Optimizer,
    load_recipe,
    parse_recipe,
    recipe_names,
    render_recipe,
)
from tritone.qat.scales import ScaleRule
from tritone.qat.schedules import BlendingSchedule, DeltaMode, DeltaSchedule, Ramp

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
    assert recipe_names() == [
        "cifar10_resnet20",
        "cifar10_resnet20_post4",
        "digits",
        "digits_half",
        "digits_quick",
    ]
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert (recipe.precision.weights, recipe.precision.act_bits) == ("post4", 4)
        assert (recipe.precision.edge_weights, recipe.precision.edge_act_bits) == ("int8", 8)


def test_values_and_defaults() -> None:
    """Numbers, enums and sections become what the dataclasses say."""
    recipe = parse_recipe(TEXT)
    assert recipe.optimizer is Optimizer.SGD
    assert recipe.pretrain is not None
    assert type(recipe.pretrain.learning_rate) is float
    assert (recipe.pretrained, recipe.data.validation, recipe.flip) == (None, 0, False)
    assert recipe.pretrain_epochs == 1
    assert recipe.finetune.learning_rate == 1e-5
    assert (recipe.shift, recipe.threads, recipe.finetune.weight_decay) == (0, 1, 0.0)


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    """A path to TOML is as good as a name."""
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    assert load_recipe(path) == load_recipe(str(path)) == parse_recipe(TEXT)


PRETRAINED = f"""
[pretrained]
file = "weights.th"
sha256 = "{"0" * 64}"
normalization = "imagenet"
"""


def test_weights_of_others_stand_for_pretraining() -> None:
    """One of the two tables, not both and not none."""
    begin, end = TEXT.index("[pretrain]"), TEXT.index("[finetune]")
    without = TEXT[:begin] + TEXT[end:]
    recipe = parse_recipe(without + PRETRAINED)
    assert recipe.pretrained == Pretrained(
        file="weights.th", sha256="0" * 64, normalization=Normalization.IMAGENET
    )
    assert recipe.pretrain_epochs == 0
    assert parse_recipe(render_recipe(recipe)) == recipe
    message = r"^Recipe must have a table \[pretrain\] or a table \[pretrained\], not "
    with pytest.raises(ValueError, match=message + "none$"):
        parse_recipe(without)
    with pytest.raises(ValueError, match=message + "both$"):
        parse_recipe(TEXT + PRETRAINED)


def test_exact_training_is_a_table() -> None:
    """Without it there is none; its epochs count."""
    assert parse_recipe(TEXT).exact is None
    assert parse_recipe(TEXT).epochs == 3
    exact = "[exact]\nepochs = 4\nlearning_rate = 1e-3\n"
    recipe = parse_recipe(TEXT + exact)
    assert recipe.exact == ExactTuning(epochs=4, learning_rate=1e-3)
    assert (recipe.exact_epochs, recipe.epochs) == (4, 7)
    assert parse_recipe(render_recipe(recipe)) == recipe
    with pytest.raises(ValueError, match=r"^Recipe exact epochs must be positive, not 0$"):
        parse_recipe(TEXT + exact.replace("4", "0"))


def test_validation_images_are_counted() -> None:
    """A count from 0 on."""
    assert parse_recipe(TEXT + "[data]\nvalidation = 5000\n").data.validation == 5000
    with pytest.raises(ValueError, match=r"^Recipe data validation must not be negative, not -1$"):
        parse_recipe(TEXT + "[data]\nvalidation = -1\n")


@pytest.mark.parametrize(
    "name", ["digits", "digits_half", "digits_quick", "cifar10_resnet20_post4"]
)
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
            "seed = 1",
            "seed = 1\ncrop = 0",
            r"^Recipe crop must be above 0 and at most 1, not 0\.0$",
        ),
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


METHOD = """
[weights]
estimator = "ewgs"
scale = "bounds"
clip = false

[[layers]]
pattern = "first*"
weights = "odd4"

[[layers]]
pattern = "*"
act_bits = 3
clip = true
estimator = "noise"
scale = "lsq"

[blending]
ramp = "linear"
start = 0
end = 0.5

[ewgs]
mode = "hessian"
interval = 2
"""


def test_methods() -> None:
    """Tables of estimators, scales and exceptions become what the dataclasses say, and back."""
    recipe = parse_recipe(TEXT + METHOD)
    assert recipe.weights == WeightMethod(
        estimator=EstimatorKind.EWGS, scale=ScaleRule.BOUNDS, clip=False
    )
    assert recipe.layers == (
        LayerMethod(pattern="first*", weights="odd4"),
        LayerMethod(
            pattern="*",
            act_bits=3,
            clip=True,
            estimator=EstimatorKind.NOISE,
            scale=ScaleRule.LSQ,
        ),
    )
    assert recipe.blending == BlendingSchedule(ramp=Ramp.LINEAR, start=0.0, end=0.5)
    assert recipe.ewgs == DeltaSchedule(mode=DeltaMode.HESSIAN, interval=2)
    assert recipe.method.choose(recipe.precision, "first", edge=True).weights == "odd4"
    assert parse_recipe(render_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"ewgs"',
            '"magic"',
            r"^Recipe weights\.estimator must be one of ste, ewgs, ab, noise, .*",
        ),
        (
            '"bounds"',
            '"post"',
            r"^Recipe weights\.scale must be one of percentile, .*, not 'post'$",
        ),
        ('"first*"', '""', r"^Recipe layers pattern must not be empty$"),
        ('"odd4"', '"odd9"', r"^Codebook must be one of .*, not 'odd9'$"),
        ("end = 0.5", "end = 0", r"^Recipe blending must have 0 <= start < end <= 1, not .*$"),
        ("interval = 2", "interval = 0", r"^Recipe ewgs interval must be positive, not 0$"),
        (
            '"noise"',
            '"ab"',
            r"^Recipe weights clip must be true with the estimator ab, not false.*$",
        ),
        ("[[layers]]", "[layer]", r"^Recipe key must be one of .*, layers, .*, not 'layer'$"),
    ],
)
def test_refuses_methods(old: str, new: str, message: str) -> None:
    """One line that names the key."""
    assert old in METHOD
    with pytest.raises(ValueError, match=message):
        parse_recipe(TEXT + METHOD.replace(old, new, 1))


def test_activations() -> None:
    """The table of activations becomes its dataclass, and back; what has no meaning is refused."""
    table = '\n[activations]\nquantizer = "pact"\nestimator = "ewgs"\nweight_decay = 0.0005\n'
    recipe = parse_recipe(TEXT + table)
    expected = ActivationMethod(
        quantizer=ActivationKind.PACT, estimator=EstimatorKind.EWGS, weight_decay=0.0005
    )
    assert recipe.activations == recipe.method.activations == expected
    assert parse_recipe(render_recipe(recipe)) == recipe
    with pytest.raises(ValueError, match=r"^Recipe activations estimator must not be ab: "):
        parse_recipe(TEXT + table.replace('"ewgs"', '"ab"'))
    message = r"^Recipe activations\.quantizer must be one of lsq, pact, ewgs, asq, not 'dorefa'$"
    with pytest.raises(ValueError, match=message):
        parse_recipe(TEXT + table.replace('"pact"', '"dorefa"'))


def test_stream_bits() -> None:
    """12 with asq, which comes back from a file; no other width and no other quantiser."""
    table = '\n[activations]\nquantizer = "asq"\nstream_bits = 12\n'
    recipe = parse_recipe(TEXT + table)
    assert recipe.activations.stream_bits == 12
    assert parse_recipe(render_recipe(recipe)) == recipe
    message = r"^Recipe activations stream_bits must be one of 8, 12, not 16$"
    with pytest.raises(ValueError, match=message):
        parse_recipe(TEXT + table.replace("12", "16"))
    message = r"^Recipe activations stream_bits must be left out without asq, not given with ewgs$"
    with pytest.raises(ValueError, match=message):
        parse_recipe(TEXT + table.replace("asq", "ewgs"))
    message = r"^Recipe activations\.stream_bits must be of type int, not '12'$"
    with pytest.raises(TypeError, match=message):
        parse_recipe(TEXT + table.replace("12", '"12"'))


def test_refuses_types_of_methods() -> None:
    """Exceptions are a list of tables; a switch is not a number."""
    with pytest.raises(TypeError, match=r"^Recipe layers must be tables \[\[layers\]\], not {.*$"):
        parse_recipe(TEXT + '[layers]\npattern = "a"\n')
    with pytest.raises(TypeError, match=r"^Recipe weights\.clip must be of type bool, not 0$"):
        parse_recipe(TEXT + "[weights]\nclip = 0\n")


def test_refuses_adaptive_steps_without_multipliers() -> None:
    """What must be a power of sqrt 2 cannot follow the image."""
    half = TEXT.replace("act_bits = 4\n", 'act_bits = 4\nmultipliers = "half_octave"\n')
    assert parse_recipe(half).precision.multipliers is Multipliers.HALF_OCTAVE
    message = (
        r"^Recipe precision multipliers must be integer with the quantizer asq, not half_octave"
    )
    with pytest.raises(ValueError, match=message):
        parse_recipe(half + '[activations]\nquantizer = "asq"\n')


def test_refuses_blending_with_adam() -> None:
    """Its normalisation cancels what the estimator is about; an exception counts too."""
    adam = TEXT.replace('"sgd"', '"adamw"')
    parse_recipe(adam)
    message = r"^Recipe optimizer must be sgd with the estimator ab, not adamw: .* 1 - alpha$"
    for table in ("[weights]\n", '[[layers]]\npattern = "a"\n'):
        text = f'{table}estimator = "ab"\n'
        parse_recipe(TEXT + text)
        with pytest.raises(ValueError, match=message):
            parse_recipe(adam + text)


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
    message = (
        r"^Recipe must be one of cifar10_.*, digits, digits_half, digits_quick or a \.toml file, "
        rf"not '{name}'$"
    )
    with pytest.raises(ValueError, match=message):
        load_recipe(name)


def test_a_model_of_a_file_is_read_with_the_recipe(tmp_path: Path) -> None:
    """Its place is told from the recipe's folder on; the recipe has its content."""
    recipe = load_recipe(write_recipe(tmp_path))
    assert recipe.source is not None
    assert recipe.source.path == tmp_path / "nets" / "my_net.py"
    assert recipe.model == "my_net.py:MyNet"
    assert recipe.model_name == "MyNet"
    assert recipe.model_sha256 == hashlib.sha256(NETWORK.encode()).hexdigest()
    text = render_recipe(recipe)
    assert f'model_sha256 = "{recipe.model_sha256}"' in text
    assert parse_recipe(text, tmp_path / "nets") == recipe
    assert load_recipe("digits").model_name == "digits"
    # A copy that is not the file any more.
    (tmp_path / "nets" / "my_net.py").write_text(NETWORK + "# changed")
    with pytest.raises(ValueError, match=r"^Model file .*my_net\.py must have the SHA-256 "):
        parse_recipe(text, tmp_path / "nets")
    assert load_recipe(tmp_path / "mine.toml") != recipe


def test_a_model_without_its_file_is_refused(tmp_path: Path) -> None:
    """A SHA-256 of no file, and the file of another model."""
    message = r"^Recipe model must be FILE\.py:NAME to have a model_sha256, not 'digits'$"
    with pytest.raises(ValueError, match=message):
        parse_recipe(TEXT.replace("seed = 1", 'seed = 1\nmodel_sha256 = "0"'))
    recipe = load_recipe(write_recipe(tmp_path))
    message = r"^Recipe model must be its source's, my_net\.py:MyNet, not digits$"
    with pytest.raises(ValueError, match=message):
        replace(recipe, model="digits")

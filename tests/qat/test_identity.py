# SPDX-License-Identifier: Apache-2.0
"""Runs of one setting are told from runs of another."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from own_network import NETWORK, write_recipe

from tritone.qat.activation_method import ActivationKind, ActivationMethod, Dequantize
from tritone.qat.arithmetic import Arithmetic
from tritone.qat.estimators import EstimatorKind
from tritone.qat.identity import describe_setting, setting_digest
from tritone.qat.method import LayerMethod, WeightMethod
from tritone.qat.precision import Multipliers
from tritone.qat.pretrained import Normalization, Pretrained
from tritone.qat.recipe import Recipe, load_recipe, parse_recipe, render_recipe


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """A recipe that starts from weights of others."""
    found = load_recipe("cifar10_resnet20_post4")
    assert found.pretrained is not None
    return found


def test_a_setting_is_the_same_for_all_seeds(recipe: Recipe) -> None:
    """Seed, name, threads and the place of a file change nothing; nor does writing it out."""
    digest = setting_digest(recipe)
    assert len(digest) == 12
    assert recipe.pretrained is not None
    moved = replace(recipe.pretrained, file="elsewhere.th")
    for other in (
        replace(recipe, seed=7),
        replace(recipe, name="other", threads=4),
        replace(recipe, pretrained=moved),
        parse_recipe(render_recipe(recipe)),
    ):
        assert setting_digest(other) == digest


def test_a_changed_model_makes_another_setting(tmp_path: Path) -> None:
    """Wherever its file is; its text is in the digest by its SHA-256."""
    digests = []
    for folder, text in (("a", NETWORK), ("b", NETWORK), ("c", NETWORK + "# changed")):
        path = write_recipe(tmp_path / folder)
        (path.parent / "nets" / "my_net.py").write_text(text)
        digests.append(setting_digest(load_recipe(path)))
    assert digests[0] == digests[1] != digests[2]


def test_every_other_key_makes_another_setting(recipe: Recipe) -> None:
    """At the top, in tables, in tables with defaults and in lists of tables."""
    weights = Pretrained(file="x.th", sha256="0" * 64, normalization=Normalization.IMAGENET)
    others = [
        recipe,
        replace(recipe, batch=64),
        replace(recipe, shift=0),
        replace(recipe, pretrained=weights),
        replace(recipe, precision=replace(recipe.precision, act_bits=3)),
        replace(recipe, finetune=replace(recipe.finetune, learning_rate=0.5)),
        replace(recipe, weights=WeightMethod(estimator=EstimatorKind.EWGS)),
        replace(recipe, layers=(LayerMethod(pattern="*", act_bits=3),)),
        replace(recipe, layers=(LayerMethod(pattern="*", act_bits=2),)),
    ]
    assert len({setting_digest(other) for other in others}) == len(others)


GIVEN = """
name = "mine"
dataset = "digits"
model = "digits"
seed = 3
batch = 64
optimizer = "sgd"
threads = 2
shift = 0

[precision]
weights = "post4"
act_bits = 4
multipliers = "integer"

[pretrained]
file = "weights.th"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
normalization = "imagenet"

[finetune]
epochs = 1
learning_rate = 0.5
quantizer_learning_rate = 0.25
norm_batches = 0

[[layers]]
pattern = "conv*"
act_bits = 3
"""


def test_a_key_with_its_default_value_does_not_count() -> None:
    """So that a recipe from before there was the key is the same setting as one from after.

    The digest is that of the JSON of all that is told and unusual, with sorted keys.
    """
    kept = tomllib.loads(GIVEN)
    for key in ("name", "seed", "threads", "shift"):
        del kept[key]
    del kept["precision"]["multipliers"], kept["pretrained"]["file"]
    del kept["finetune"]["norm_batches"]
    text = json.dumps(kept, sort_keys=True)
    assert setting_digest(parse_recipe(GIVEN)) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_descriptions(recipe: Recipe) -> None:
    """The quantiser of tensors with what is unusual about it, the multipliers and the teacher."""
    plain = {
        "activations": "lsq",
        "multipliers": "integer",
        "distillation": 0.0,
        "arithmetic": "float32",
    }
    assert describe_setting(recipe) == plain
    quick = replace(recipe.finetune, arithmetic=Arithmetic.BFLOAT16)
    assert describe_setting(replace(recipe, finetune=quick))["arithmetic"] == "bfloat16"
    asq = ActivationMethod(quantizer=ActivationKind.ASQ)
    assert describe_setting(replace(recipe, activations=asq))["activations"] == "asq"
    step = replace(asq, dequantize=Dequantize.STEP)
    assert describe_setting(replace(recipe, activations=step))["activations"] == "asq step"
    fine = replace(asq, stream_bits=12)
    described = describe_setting(replace(recipe, activations=fine))
    assert described["activations"] == "asq 12-bit streams"
    assert setting_digest(replace(recipe, activations=fine)) != setting_digest(
        replace(recipe, activations=asq)
    )
    ewgs = ActivationMethod(quantizer=ActivationKind.EWGS, estimator=EstimatorKind.EWGS)
    assert describe_setting(replace(recipe, activations=ewgs))["activations"] == "ewgs ewgs"
    half = replace(recipe.precision, multipliers=Multipliers.HALF_OCTAVE)
    taught = replace(recipe.distillation, weight=0.5)
    described = describe_setting(replace(recipe, precision=half, distillation=taught))
    assert described == plain | {"multipliers": "half_octave", "distillation": 0.5}

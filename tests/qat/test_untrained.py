# SPDX-License-Identifier: Apache-2.0
"""A recipe's network with random weights, as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tritone.golden import layers
from tritone.graph import Convolution, Network
from tritone.qat.data import load
from tritone.qat.identity import setting_digest
from tritone.qat.recipe import load_recipe
from tritone.qat.untrained import export_untrained

RECIPE = load_recipe("digits_quick")


def test_the_graph_computes_the_logits_beside_it(tmp_path: Path) -> None:
    """The golden layers give the frozen model's logits of the first test images; no value is dull.

    The weights use every level but, of so few, perhaps a rare one.
    """
    made = export_untrained(RECIPE, tmp_path, 7)
    network = Network.load(tmp_path / "graph")
    assert network.name == made.name == "digits_quick (random weights)"
    test = safetensors.numpy.load_file(tmp_path / "graph" / "test.safetensors")
    expected = load("digits")
    assert (test["images"] == expected.test_images[:7]).all()
    assert (test["labels"] == expected.test_labels[:7]).all()
    tensors = layers.run(network, test["images"])
    assert (tensors[network.output].reshape(7, 10) == test["logits"]).all()
    for name, value in tensors.items():
        assert len(np.unique(value)) > 4, name
    second = next(node for node in network.nodes if node.name == "conv2")
    assert isinstance(second, Convolution)
    assert len(np.unique(second.codes)) >= 10


def test_the_seed_decides_and_the_run_says_what_it_is(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "again", "other")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        export_untrained(replace(RECIPE, seed=seed), folder, 2)
    weights = [(each / "graph" / "weights.safetensors").read_bytes() for each in folders]
    assert weights[0] == weights[1] != weights[2]
    assert json.loads((folders[2] / "untrained.json").read_text()) == {
        "dataset": "digits",
        "model": "digits",
        "setting": setting_digest(RECIPE),
        "codebook": "post4",
        "weight_bits": 4,
        "act_bits": 4,
        "seed": 1,
    }


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Images must be in 1\.\.360, not 361$"):
        export_untrained(RECIPE, tmp_path, 361)
    (tmp_path / "recipe.toml").write_text("")
    message = r"^Run .* must be a folder without a training; choose another one$"
    with pytest.raises(ValueError, match=message):
        export_untrained(RECIPE, tmp_path, 1)

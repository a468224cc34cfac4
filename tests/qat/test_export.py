# SPDX-License-Identifier: Apache-2.0
"""Export: the graph, and a run folder's files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from rich.console import Console

from tritone.golden import layers
from tritone.graph import Convolution, Network
from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.export import export, export_run
from tritone.qat.frozen import FrozenModel
from tritone.qat.recipe import load_recipe
from tritone.qat.train import train


def test_graph_survives_a_file(frozen: FrozenModel, tmp_path: Path) -> None:
    """What is saved and loaded again is the frozen model's constants."""
    network = export(frozen, "mixed")
    network.save(tmp_path)
    again = Network.load(tmp_path)
    assert again.name == "mixed"
    assert again.tensors == frozen.tensors
    assert [node.name for node in again.nodes] == [node.name for node in frozen.nodes]
    for node, source in zip(again.nodes, frozen.nodes, strict=True):
        if isinstance(node, Convolution):
            assert (node.codes == source.codes.numpy()).all()
            assert node.multiplier.tolist() == source.multiplier.tolist()
            assert node.offset.tolist() == source.offset.tolist()
            tensor = frozen.tensors[node.input]
            assert node.pad_code == tensor.zero >> node.read_shift(tensor)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the quick recipe."""
    folder = tmp_path_factory.mktemp("run")
    train(load_recipe("digits_quick"), folder, console=Console(quiet=True))
    return folder


def test_run_folder_holds_graph_and_test_set(run: Path) -> None:
    """The saved network, evaluated by golden.layers, gives the logits in test.safetensors."""
    network = export_run(run)
    loaded = Network.load(run / "graph")
    assert loaded.name == network.name == "digits_quick"
    test = safetensors.numpy.load_file(run / "graph" / "test.safetensors")
    assert {key: (value.dtype, value.shape) for key, value in test.items()} == {
        "images": (np.uint8, (360, 1, 8, 8)),
        "labels": (np.int64, (360,)),
        "logits": (np.int64, (360, 10)),
    }
    logits = layers.run(loaded, test["images"])[loaded.output].reshape(360, 10)
    assert (logits == test["logits"]).all()
    report = json.loads((run / "train.json").read_text())
    hits = int((logits.argmax(1) == test["labels"]).sum())
    assert report["top1_frozen"] == 100 * hits / 360


def test_adaptive_steps_can_be_exported_as_static_ones(run: Path, tmp_path: Path) -> None:
    """The graph then has no gain, and the accuracy that the training measured for it."""
    message = r"^Run .* must have adaptive steps that levels are multiplied by \(asq, adapted\)"
    with pytest.raises(ValueError, match=message):
        export_run(run, static_steps=True)
    recipe = replace(
        load_recipe("digits_quick"), activations=ActivationMethod(quantizer=ActivationKind.ASQ)
    )
    report = train(recipe, tmp_path, console=Console(quiet=True))
    hits = {}
    for static in (False, True):
        network = export_run(tmp_path, static_steps=static)
        gains = [isinstance(n, Convolution) and n.gain is not None for n in network.nodes]
        assert any(gains) != static
        test = safetensors.numpy.load_file(tmp_path / "graph" / "test.safetensors")
        logits = layers.run(network, test["images"])[network.output].reshape(360, 10)
        assert (logits == test["logits"]).all()
        hits[static] = int((logits.argmax(1) == test["labels"]).sum())
    assert report["top1_frozen"] == 100 * hits[False] / 360
    assert report["top1_static"] == 100 * hits[True] / 360


def test_refuses_what_was_not_trained(tmp_path: Path) -> None:
    """No run and an unfinished run each get a line that says what to do."""
    with pytest.raises(FileNotFoundError, match=r"^Run must be a folder that was trained, not .*$"):
        export_run(tmp_path)
    (tmp_path / "recipe.toml").write_text(
        "\n".join(
            [
                'name = "x"\ndataset = "digits"\nmodel = "digits"\nseed = 0\nbatch = 8',
                'optimizer = "sgd"\n[precision]\nweights = "post4"\nact_bits = 4',
                "[pretrain]\nepochs = 1\nlearning_rate = 0.1",
                "[finetune]\nepochs = 1\nlearning_rate = 0.1\nquantizer_learning_rate = 0.1",
            ]
        )
    )
    message = r"^Run .* must be trained to its last epoch; continue its training first$"
    with pytest.raises(ValueError, match=message):
        export_run(tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Weights of others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from tritone.qat.models.resnet_cifar import ResNetCifar
from tritone.qat.modules import real_input
from tritone.qat.pretrained import (
    Normalization,
    Pretrained,
    fold_normalization,
    load_weights,
    map_weights,
    normalized_input,
)
from tritone.qat.recipe import load_recipe
from tritone.qat.train import train

SHA = "0" * 64


def saved(path: Path, content: Any) -> Pretrained:
    """Return the description of ``content`` saved by torch."""
    torch.save(content, path)
    return Pretrained(file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        )
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.uniform_()
    return model.eval()


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_strips_what_scripts_add(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    """A state dict alone or beside other things, of a parallel model or not."""
    weights = network().state_dict()
    content: Any = {prefix + key: value for key, value in weights.items()}
    if wrapper:
        content = {"epoch": 3, wrapper: content}
    found = load_weights(saved(tmp_path / "a.th", content))
    assert set(found) == set(weights)
    assert all(torch.equal(found[key], value) for key, value in weights.items())


def test_reads_safetensors(tmp_path: Path) -> None:
    """Files without pickles, too."""
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.arange(3)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_weights(Pretrained(file=str(path), sha256=digest))["x"].tolist() == [0, 1, 2]


def test_maps_by_kind_and_shape_in_order() -> None:
    """A network of the same layers under other names gets the same function."""
    source = ResNetCifar(3, 10, blocks=1).eval()
    generator = torch.Generator().manual_seed(5)
    weights: dict[str, Tensor] = {}
    for index, (key, value) in enumerate(source.state_dict().items()):
        if value.is_floating_point():
            value.uniform_(0.1, 1.0, generator=generator)
        if not key.endswith("num_batches_tracked"):  # old files lack it
            weights[f"part{index}.{key.rpartition('.')[2]}"] = value.clone()
    model = ResNetCifar(3, 10, blocks=1).eval()
    map_weights(model, weights)
    images = torch.rand(2, 3, 32, 32, generator=generator)
    assert torch.equal(model(images), source(images))


def test_names_win_over_order() -> None:
    """Where all names agree the order does not matter."""
    model, weights = network(), network().state_dict()
    backwards = {key: weights[key] + 1 for key in reversed(weights)}
    map_weights(model, backwards)
    assert all(
        torch.equal(value, backwards[key])
        for key, value in model.state_dict().items()
        if value.is_floating_point()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"0.weight": torch.zeros(4, 3, 5, 5), "extra.bias": torch.zeros(1)},
            (
                r"^Weights must have a weight of shape \(4, 3, 3, 3\) for 0\.weight: they are of "
                r"another model$"
            ),
        ),
        (
            {"extra.bias": torch.zeros(7)},
            (
                r"^Weights must all be used, but extra\.bias of shape \(7,\) is not: they are of "
                r"another model$"
            ),
        ),
        (
            {"0.weight": torch.zeros(4, 3, 5, 5)},
            r"^Weights 0\.weight must have the shape \(4, 3, 3, 3\), not \(4, 3, 5, 5\)$",
        ),
    ],
    ids=["missing", "left over", "shape"],
)
def test_refuses_another_model(change: dict[str, Tensor], message: str) -> None:
    """Nothing is missing, nothing left over."""
    with pytest.raises(ValueError, match=message):
        map_weights(network(), {**network().state_dict(), **change})


def test_refuses_files(tmp_path: Path) -> None:
    """A missing file, another one, and one that holds something else."""
    path = tmp_path / "a.th"
    with pytest.raises(FileNotFoundError, match=r"^Weights must be in the file .*, which is not"):
        load_weights(Pretrained(file=str(path), sha256=SHA))
    pretrained = saved(path, [1, 2])
    with pytest.raises(ValueError, match=r"^Weights .* must be a state dict, alone or under"):
        load_weights(pretrained)
    message = rf"^Weights .* must have the SHA-256 {SHA}, not {pretrained.sha256}$"
    with pytest.raises(ValueError, match=message):
        load_weights(Pretrained(file=str(path), sha256=SHA))
    message = r"^Recipe pretrained sha256 must be 64 hexadecimal digits, not 'abc'$"
    with pytest.raises(ValueError, match=message):
        Pretrained(file="a", sha256="abc")


def test_a_run_without_its_weights_is_not_begun(tmp_path: Path) -> None:
    """A missing file, and one of another network, leave no run folder."""
    run = tmp_path / "run"
    missing = Pretrained(file=str(tmp_path / "a.th"), sha256=SHA)
    other = saved(tmp_path / "b.th", network().state_dict())
    for pretrained, error in ((missing, FileNotFoundError), (other, ValueError)):
        recipe = replace(load_recipe("digits_quick"), pretrain=None, pretrained=pretrained)
        with pytest.raises(error, match=r"^Weights must "):
            train(recipe, run)
        assert not run.exists()


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    """A file with anything but tensors, such as a whole model, is refused with the right call."""
    message = (
        r"^Weights .*a\.th must be a state dict of tensors, made by "
        r"torch\.save\(model\.state_dict\(\), file\), not one with an object of "
    )
    with pytest.raises(ValueError, match=message + r"pathlib\.\w+$"):
        load_weights(saved(tmp_path / "a.th", Path("x")))
    with pytest.raises(ValueError, match=message + r"torch\.nn\.modules\.container\.Sequential$"):
        load_weights(saved(tmp_path / "a.th", network()))


@pytest.mark.parametrize("data", [b"", b"hello world", b"\x80garbage" * 9, b"\xff" * 20])
@pytest.mark.parametrize("name", ["a.th", "a.safetensors"])
def test_refuses_damaged_files(tmp_path: Path, name: str, data: bytes) -> None:
    """Whatever is in them, the line has the name of the file."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"^Weights {path} must be a .* not damaged"):
        load_weights(Pretrained(file=str(path), sha256=hashlib.sha256(data).hexdigest()))


@pytest.mark.parametrize(
    ("normalization", "mean", "std"),
    [
        (Normalization.IMAGENET, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        (Normalization.UNIT, (0, 0, 0), (1, 1, 1)),
        (Normalization.TRITONE, (128 / 255,) * 3, (64 / 255,) * 3),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_folding_keeps_the_function(
    normalization: Normalization, mean: Any, std: Any, bias: bool
) -> None:
    """Without padding, the folded layer of (u - 128) / 64 is the layer of the normalised image.

    The definition in float64; a float32 convolution of 27 terms of magnitude below 3 * 1 has an
    error below 27 * 2**-24 * 81.
    """
    layer = nn.Conv2d(3, 4, 3, bias=bias)
    images = torch.randint(
        0, 256, (2, 3, 6, 6), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    constants = [torch.tensor(values).double().view(-1, 1, 1) for values in (mean, std)]
    real = (images.double() / 255 - constants[0]) / constants[1]
    assert float((normalized_input(images, normalization) - real).abs().max()) < 1e-5
    offset = layer.bias.detach().double() if bias else None
    expected = nn.functional.conv2d(real, layer.weight.detach().double(), offset)
    fold_normalization(nn.Sequential(nn.ReLU(), layer), normalization)
    found = layer(real_input(images)).detach()
    assert float((found - expected).abs().max()) < 27 * 2**-24 * 81


@pytest.mark.parametrize("normalization", Normalization)
def test_constants_are_where_the_network_is(normalization: Normalization) -> None:
    """The meta device stands for an accelerator: torch refuses to mix it with the processor too."""
    layer = nn.Conv2d(3, 4, 3, bias=False, device="meta")
    images = torch.zeros(2, 3, 6, 6, dtype=torch.uint8, device="meta")
    assert normalized_input(images, normalization).device.type == "meta"
    fold_normalization(layer, normalization)
    assert {each.device.type for each in layer.parameters()} == {"meta"}


def test_means_of_channels_need_a_convolution_of_all_of_them() -> None:
    """One mean for all channels goes into any convolution."""
    message = (
        "^Model must begin with a convolution, of one group, for the normalization imagenet to go "
        "into; train it with tritone's$"
    )
    grouped = nn.Conv2d(3, 3, 3, groups=3)
    for model in (nn.Linear(3, 4), grouped):
        with pytest.raises(ValueError, match=message):
            fold_normalization(model, Normalization.IMAGENET)
    before = grouped.weight.detach().clone()
    fold_normalization(grouped, Normalization.UNIT)
    assert not torch.equal(grouped.weight, before)

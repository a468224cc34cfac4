# SPDX-License-Identifier: Apache-2.0
"""Convolutions in bfloat16, and all else in float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import tritone.qat.train as training
from tritone.graph import Window
from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.adapters import Adapter
from tritone.qat.arithmetic import Arithmetic, autocast, exactly
from tritone.qat.convert import convert
from tritone.qat.distillation import Distillation, distillation_loss
from tritone.qat.method import Method
from tritone.qat.models.digits import Digits
from tritone.qat.modules import QuantizedConvolution
from tritone.qat.precision import Precision
from tritone.qat.quantizers import WeightQuantizer, build_weight_quantizer
from tritone.qat.recipe import ExactTuning, Recipe, load_recipe
from tritone.qat.scales import ScaleRule
from tritone.qat.streams import Stream
from tritone.qat.train import train
from tritone.spec.catalog import codebook
from tritone.spec.fixed import STREAM


class AsTheyAre(WeightQuantizer):
    """Weights of any number of bits."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, weight: Tensor, gain: Tensor | None = None) -> Tensor:
        return weight


CPU = torch.device("cpu")
QUIET = Console(quiet=True)
SHAPE = (1, 8, 8)


def rounded(values: np.ndarray) -> np.ndarray:
    """Return the nearest numbers of 8 significant bits, of two as near the even one."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 256), exponent - 8)


def images(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, *SHAPE), generator=generator).to(torch.uint8)


def test_a_convolution_rounds_factors_and_results() -> None:
    """The rounded sum of rounded factors, both of which had more than 8 bits.

    Rounded they are whole numbers up to 2**8 and 2**9, so float32 adds up nine products exactly,
    and so it does twenty products of results' gradients, up to 2**7, for a gradient of a weight.
    """
    random = np.random.default_rng(4)
    codes = random.integers(128, 256, (2, 3, 5, 4))
    weight = random.integers(-511, 512, (6, 3, 1, 3)).astype(np.float64)
    layer = QuantizedConvolution(
        name="conv",
        input="a",
        output="b",
        window=Window(kernel=(1, 3)),
        weight=torch.tensor(weight).float(),
        bias=None,
        norm=None,
        relu=False,
        bits=8,
        weight_quantizer=build_weight_quantizer(codebook("int8"), 6, ScaleRule.LARGEST),
        output_quantizer=None,
    )
    layer.weight_quantizer = AsTheyAre()
    step = 515 / 512
    stream = Stream(torch.tensor(codes).float(), torch.tensor(step), 0, STREAM)
    with autocast(Arithmetic.BFLOAT16, CPU):
        result = layer(stream)
    assert isinstance(result, Tensor)
    assert result.dtype == torch.float32
    values, weight = rounded(codes * step), rounded(weight)
    windows = np.stack([values[:, :, :, x : x + 2] for x in range(3)], -1)
    exact = np.einsum("nchwx,ocx->nohw", windows, weight[:, :, 0])
    assert result.tolist() == rounded(exact).tolist()
    gradient = random.integers(-127, 128, exact.shape)
    result.backward(torch.tensor(gradient).float())
    assert layer.weight.grad is not None
    exact = np.einsum("nchwx,nohw->ocx", windows, gradient)[:, :, None]
    assert layer.weight.grad.tolist() == rounded(exact).tolist()
    assert layer(stream).tolist() != result.tolist()


def test_adapters_and_gradients_stay_in_float32() -> None:
    """beta is that of float32; every gradient is float32, of convolutions that were not."""
    method = Method(activations=ActivationMethod(quantizer=ActivationKind.ASQ))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = convert(Digits(1, 10), SHAPE, Precision(weights="post4", act_bits=4), method)
    model.train()
    model(images(64))
    found: dict[Arithmetic, Tensor] = {}
    for arithmetic in Arithmetic:
        model.zero_grad()
        with autocast(arithmetic, CPU):
            logits = model(images(64))
        assert logits.dtype == torch.float32
        logits.square().sum().backward()
        gradients = [each.grad for each in model.parameters() if each.grad is not None]
        assert all(each.dtype == torch.float32 for each in gradients)
        found[arithmetic] = torch.cat([each.flatten() for each in gradients])
    assert not torch.equal(found[Arithmetic.FLOAT32], found[Arithmetic.BFLOAT16])
    adapter = next(each for each in model.modules() if isinstance(each, Adapter))
    with torch.no_grad():  # of a new one beta is 1, in any arithmetic
        adapter.last.weight += 0.1
        adapter.last.weight_quantizer.initialize(adapter.last.weight)
    x = torch.rand(4, 16, 3, 3, generator=torch.Generator().manual_seed(6)) * 3
    with exactly(CPU):
        beta = adapter(x, torch.tensor(0.01))
    with autocast(Arithmetic.BFLOAT16, CPU):
        assert adapter(x, torch.tensor(0.01)).tolist() == beta.tolist()


def test_the_teacher_is_quick_too() -> None:
    """Its loss is float32, of logits that are not those of float32."""
    seen: list[torch.dtype] = []

    class Teacher(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 10, 8)

        def forward(self, x: Tensor) -> Tensor:
            seen.append((result := self.conv(x)).dtype)
            return result.flatten(1)

    settings = Distillation(weight=1.0)
    loss = distillation_loss(settings, Teacher(), Arithmetic.BFLOAT16)
    value = loss(images(4), torch.zeros(4, 10), torch.zeros(4, dtype=torch.int64))
    assert (seen, value.dtype) == ([torch.bfloat16], torch.float32)


@pytest.fixture
def recipe() -> Recipe:
    """Of all stages, an epoch each."""
    quick = load_recipe("digits_quick")
    assert quick.pretrain is not None
    finetune = replace(quick.finetune, epochs=1, arithmetic=Arithmetic.BFLOAT16)
    return replace(
        quick,
        pretrain=replace(quick.pretrain, epochs=1),
        finetune=finetune,
        exact=ExactTuning(epochs=1, learning_rate=3e-4),
    )


def test_only_the_finetuning_is_quick(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stages around it are exact; its weights are other ones, and the same ones again."""
    seen: list[Arithmetic] = []

    def watched(arithmetic: Arithmetic, device: torch.device) -> torch.autocast:
        seen.append(arithmetic)
        return autocast(arithmetic, device)

    monkeypatch.setattr(training, "autocast", watched)
    exact = replace(recipe, finetune=replace(recipe.finetune, arithmetic=Arithmetic.FLOAT32))
    for folder, each in (("a", recipe), ("b", recipe), ("c", exact)):
        train(each, tmp_path / folder, console=QUIET)
    steps = len(seen) // 9
    assert steps
    one = [Arithmetic.FLOAT32] * steps
    assert seen[: 3 * steps] == one + [Arithmetic.BFLOAT16] * steps + one
    a, b, c = (
        (tmp_path / name / "checkpoint-exact-0001.safetensors").read_bytes() for name in "abc"
    )
    assert a == b != c

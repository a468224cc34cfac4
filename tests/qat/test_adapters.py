# SPDX-License-Identifier: Apache-2.0
"""Adapters: their form, what they learn, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tritone.golden import fast, layers
from tritone.graph import Convolution
from tritone.qat import adapters
from tritone.qat.activation_method import ActivationKind, ActivationMethod, Dequantize
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.adapters import (
    AdaptiveQuantizer,
    clear_counts,
    constant_adapters,
    dead_adapters,
    fix_steps,
)
from tritone.qat.convert import convert
from tritone.qat.export import export
from tritone.qat.freeze import freeze
from tritone.qat.method import Method
from tritone.qat.models.digits import Digits
from tritone.qat.modules import QuantizedModel
from tritone.qat.precision import Precision
from tritone.spec.fixed import FINE_STREAM, STREAM, STREAMS, StreamFormat

SHAPE = (1, 8, 8)


def images(count: int, seed: int) -> Tensor:
    """Return noise of a brightness that differs from image to image."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (count, *SHAPE), generator=generator)
    light = torch.rand(count, 1, 1, 1, generator=generator)
    return (128 + (noise - 128) * light).to(torch.uint8)


def trained(method: ActivationMethod, spread: float = 0.0) -> QuantizedModel:
    """Return the digits' network with statistics of a few batches.

    ``spread`` is added to the last weights of the adapters, so that beta differs between images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        precision = Precision(weights="post4", act_bits=4)
        model = convert(Digits(1, 10), SHAPE, precision, Method(activations=method))
    for node in model.nodes:
        quantizer = getattr(node, "output_quantizer", None)
        if isinstance(quantizer, AdaptiveQuantizer) and spread:
            last = quantizer.adapter.last
            with torch.no_grad():
                last.weight += spread
                last.weight_quantizer.initialize(last.weight)
                last.bias -= spread
    model.train()
    for seed in range(4):
        model(images(32, seed))
        for node in model.nodes:
            quantizer = getattr(node, "output_quantizer", None)
            if getattr(quantizer, "learn_lower", False):
                with torch.no_grad():
                    quantizer.lower.fill_(-0.25)  # real 0 is a code above 0
    return model.eval()


def test_the_form_of_the_adapter() -> None:
    """C >= 8: C // 4 hidden units, as many parameters as the paper; C < 8: one linear layer."""
    for channels, parameters in ((16, 73), (32, 273), (64, 1057), (512, 65793), (7, 8)):
        adapter = AdaptiveQuantizer("t", (channels, 3, 3), 4).adapter
        layers_of_it = [node for node in adapter.nodes if hasattr(node, "weight")]
        sizes = [layer.weight.numel() + layer.bias.numel() for layer in layers_of_it]
        assert sum(sizes) == parameters
        names = [node.output for node in adapter.nodes]
        hidden = ["t.hidden"] if channels >= 8 else []
        assert names == ["t.mean", *hidden, "t.beta"]


@pytest.mark.parametrize(
    ("form", "low", "high"), [(STREAM, 0.5, 2.0), (FINE_STREAM, 0.25, 4095 / 1024)]
)
def test_beta_starts_at_one_and_is_bounded(form: StreamFormat, low: float, high: float) -> None:
    """beta is about 1 at first, a multiple of 2**-10, in bounds.

    The gradient is that of the ReLU, but for what pushes further beyond a bound: a positive one
    pushes down, a negative one up.
    """
    torch.manual_seed(0)
    quantizer = AdaptiveQuantizer("t", (16, 4, 4), 4, form=form)
    x = torch.rand(5, 16, 4, 4)
    stream = quantizer(x)
    assert stream.beta.shape == (5, 1, 1, 1)
    # Hidden units are below 1, four of them with weights of deviation 1/100.
    assert bool(((stream.beta - 1).abs() < 0.2).all())
    last = quantizer.adapter.last
    with torch.no_grad():
        last.weight.zero_()
    for bias, expected, down, up in (
        (5.0, high, 1.0, 0.0),
        (high, high, 1.0, 0.0),
        (1.25, 1.25, 1.0, -1.0),
        (low, low, 0.0, -1.0),
        (0.1, low, 0.0, -1.0),
        (-1.0, low, 0.0, 0.0),
    ):
        with torch.no_grad():
            last.bias.fill_(bias)
        for sign, gradient in ((1, down), (-1, up)):
            quantizer.zero_grad()
            beta = quantizer(x).beta
            (sign * beta[0].sum()).backward()
            assert beta.flatten().tolist() == [expected] * 5
            assert last.bias.grad.item() == gradient
            exact = beta * 1024
            assert torch.equal(exact, exact.round())


@pytest.mark.parametrize(("sign", "bound"), [(-1, 2.0), (1, 0.5)])
def test_weights_do_not_run_away_at_a_bound(sign: int, bound: float) -> None:
    """However long a loss wants beta beyond it: what the last layer says stays within a step."""
    torch.manual_seed(0)
    quantizer = AdaptiveQuantizer("t", (16, 4, 4), 4)
    x = torch.rand(5, 16, 4, 4)
    quantizer(x)
    adapter = quantizer.adapter
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        (sign * quantizer(x).beta.mean()).backward()
        optimizer.step()
    weights = adapter.last.weight.detach().clone()
    for _ in range(200):
        optimizer.zero_grad()
        (sign * quantizer(x).beta.mean()).backward()
        optimizer.step()
    assert quantizer(x).beta.flatten().tolist() == [bound] * 5
    assert torch.equal(adapter.last.weight.detach(), weights)
    assert adapter.silent == 0  # nor does it die


def test_the_gradient_of_the_tensor_comes_through_the_adapter_too() -> None:
    """With weights that average the tensor, dbeta/dx is 1/(pixels * channels) of each value."""
    quantizer = AdaptiveQuantizer("t", (2, 2, 2), 4)
    last = quantizer.adapter.last
    with torch.no_grad():
        last.weight.fill_(0.5)
        last.weight_quantizer.initialize(last.weight)
        last.bias.fill_(0.25)
        quantizer.grid_step.fill_(1.0)
        quantizer.initialized.fill_(True)
    x = torch.full((1, 2, 2, 2), 1.0, requires_grad=True)
    beta = quantizer(x).beta
    beta.sum().backward()
    assert beta.item() == 1.25
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1 / 8] * 8
    assert quantizer.grid_step.grad is None or quantizer.grid_step.grad.item() == 0


METHODS = [
    ActivationMethod(quantizer=ActivationKind.PACT),
    ActivationMethod(quantizer=ActivationKind.EWGS),
    ActivationMethod(quantizer=ActivationKind.EWGS, learn_lower=True),
    ActivationMethod(quantizer=ActivationKind.ASQ),
    ActivationMethod(quantizer=ActivationKind.ASQ, dequantize=Dequantize.STEP),
]
FINE = ActivationMethod(quantizer=ActivationKind.ASQ, stream_bits=12)
METHODS += [FINE, replace(FINE, dequantize=Dequantize.STEP)]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_frozen_graph_and_golden_models_agree(method: ActivationMethod) -> None:
    """Every tensor, those of the adapters too, for images of different betas."""
    model = trained(method, spread=0.5)
    pictures = images(24, 9)
    frozen = freeze(model, pictures)
    tensors = frozen.evaluate(pictures).tensors
    network = export(frozen, "digits")
    expected = layers.run(network, pictures.numpy())
    quick = fast.run(network, pictures.numpy())
    assert set(tensors) == set(expected)
    for name, values in expected.items():
        assert (tensors[name].numpy() == values).all(), name
        assert (quick[name] == values).all(), name
    gains = [node.gain for node in network.nodes if isinstance(node, Convolution) and node.gain]
    adaptive = method.quantizer is ActivationKind.ASQ
    # conv2 reads the tensor of conv1, conv3 that of conv2; the linear layer reads 8 bits.
    assert len(gains) == 2 * adaptive
    for gain in gains:
        assert len(np.unique(expected[gain.tensor])) > 3
        assert gain.adapted == (method.dequantize is Dequantize.ADAPTED)
        assert gain.headroom == (2 if method.stream_bits == 12 else 1)
    widths = {name: tensor.stream_bits for name, tensor in network.tensors.items()}
    codes = [
        name for name, tensor in network.tensors.items() if not tensor.wide and name != "input"
    ]
    assert {widths.pop(name) for name in codes} == {method.stream_bits}
    assert set(widths.values()) == {8}
    assert (expected["conv1"].max() > 255) == (method.stream_bits == 12)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_training_computes_what_is_frozen(method: ActivationMethod) -> None:
    """Per layer, on equal inputs: at most one stream code apart, and that rarely."""
    model = trained(method, spread=0.5)
    pictures = images(24, 9)
    frozen = freeze(model, pictures)
    truth = frozen.evaluate(pictures).tensors
    first = model.nodes[0]
    assert isinstance(first, nn.Module)
    streams: dict[str, Tensor] = {}
    for node in model.nodes[:-1]:
        node.register_forward_hook(
            lambda _, __, made, name=node.output: streams.update({name: made.codes})
        )
    with torch.no_grad():
        model(pictures)
    away = (streams["conv1"].long() - truth["conv1"]).abs()
    assert int(away.max()) <= 1
    assert float((away > 0).float().mean()) < 0.01
    # Behind it inputs differ here and there by a code.
    assert float((streams["conv2"].long() != truth["conv2"]).float().mean()) < 0.1


def test_dead_adapters_are_named() -> None:
    """One whose result is 0 for all images; one image that is not is enough."""
    model = trained(ActivationMethod(quantizer=ActivationKind.ASQ))
    assert dead_adapters(model) == []
    adapter = model.nodes[1].output_quantizer.adapter
    with torch.no_grad():
        adapter.last.bias.fill_(-3.0)
    clear_counts(model)
    assert dead_adapters(model) == []
    model(images(8, 1))
    assert dead_adapters(model) == [model.nodes[1].output]
    with torch.no_grad():
        adapter.last.bias.fill_(1.0)
    model(images(1, 1))
    assert dead_adapters(model) == []


def test_constant_adapters_are_named() -> None:
    """One whose hidden layer is 0 for all images, unless it is dead; one image is enough."""
    model = trained(ActivationMethod(quantizer=ActivationKind.ASQ))
    adapter = model.nodes[1].output_quantizer.adapter
    before = adapter.hidden.bias.detach().clone()
    model.eval()
    clear_counts(model)
    model(images(8, 1))
    assert constant_adapters(model) == []
    with torch.no_grad():
        adapter.hidden.bias.fill_(-1e3)
    clear_counts(model)
    assert constant_adapters(model) == []
    model(images(8, 1))
    assert constant_adapters(model) == [model.nodes[1].output]
    with torch.no_grad():
        adapter.last.bias.fill_(-3.0)
    clear_counts(model)
    model(images(8, 1))
    assert (constant_adapters(model), dead_adapters(model)) == ([], [model.nodes[1].output])
    with torch.no_grad():
        adapter.last.bias.fill_(1.0)
        adapter.hidden.bias.copy_(before)
    clear_counts(model)
    model(images(1, 1))
    with torch.no_grad():
        adapter.hidden.bias.fill_(-1e3)
    model(images(8, 1))
    assert constant_adapters(model) == []


@pytest.mark.parametrize("method", [ActivationMethod(quantizer=ActivationKind.ASQ), FINE], ids=str)
def test_steps_are_fixed_at_the_mean_beta(method: ActivationMethod) -> None:
    """What is left is LSQ with S times the mean, of the same width; the model needs no gain."""
    model = trained(method, spread=0.5)
    quantizer = model.nodes[0].output_quantizer
    seen = []
    hook = quantizer.adapter.register_forward_hook(lambda *made: seen.append(made[2]))
    pictures = images(20, 3)
    with torch.no_grad():
        model(pictures)
    hook.remove()
    mean = float(seen[0].double().mean())
    step = quantizer.grid_step.item()
    betas = fix_steps(model, pictures)
    assert betas["conv1"] == pytest.approx(mean, rel=1e-12)  # of a sum of 20 float64
    assert set(betas) == {"conv1", "conv2"}
    fixed = model.nodes[0].output_quantizer
    assert type(fixed) is ActivationQuantizer
    assert fixed.grid.form is STREAMS[method.stream_bits]
    assert fixed.grid_step.item() == pytest.approx(step * mean, rel=2**-22)  # of a float32
    network = export(freeze(model, pictures), "static")
    assert not any(isinstance(node, Convolution) and node.gain for node in network.nodes)


def test_the_mean_beta_is_that_of_a_sorted_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the images are looked at, dark ones and bright ones."""
    monkeypatch.setattr(adapters, "FIXING_IMAGES", 40)
    model = trained(ActivationMethod(quantizer=ActivationKind.ASQ), spread=0.5)
    made = []
    hook = model.nodes[0].output_quantizer.adapter.register_forward_hook(
        lambda *passed: made.append(passed[2].flatten())
    )
    pictures = images(80, 3)
    with torch.no_grad():
        model(pictures)
        pictures = pictures[made[0].argsort()]
    hook.remove()
    low, high = made[0].sort().values.split(40)
    quarter = (high.mean() - low.mean()) / 4
    mean = fix_steps(model, pictures)["conv1"]
    # Means of 40 of 80 images spread by far less than a quarter of what halves differ by.
    assert low.mean() + quarter < mean < high.mean() - quarter


def test_steps_that_are_not_multiplied_back_are_not_fixed() -> None:
    """The levels of such a model are worth S, whatever beta is."""
    model = trained(ActivationMethod(quantizer=ActivationKind.ASQ, dequantize=Dequantize.STEP))
    message = r"^Steps must be fixed in a model that multiplies by S \* beta, not by S$"
    with pytest.raises(ValueError, match=message):
        fix_steps(model, images(2, 1))


def test_eight_bits_leave_no_headroom() -> None:
    """A bit of the codes lies above the grid."""
    message = r"^Activation bits must be in 1\.\.7 with an adaptive step, not 8$"
    with pytest.raises(ValueError, match=message):
        AdaptiveQuantizer("t", (4, 2, 2), 8)
    quantizer = AdaptiveQuantizer("t", (4, 2, 2), 8, form=FINE_STREAM)
    assert quantizer.read_shift == 2
    with pytest.raises(ValueError, match=r"in 1\.\.8 with an adaptive step, not 9$"):
        AdaptiveQuantizer("t", (4, 2, 2), 9, form=FINE_STREAM)

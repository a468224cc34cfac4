# SPDX-License-Identifier: Apache-2.0
"""The frozen model, against the golden model and against the fake-quantised one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tritone.golden import fast, layers
from tritone.graph import Convolution, PoolKind, Window
from tritone.qat.export import export
from tritone.qat.freeze import freeze
from tritone.qat.frozen import FrozenModel, FrozenPool
from tritone.qat.modules import QuantizedModel
from tritone.qat.streams import Stream
from tritone.spec.fixed import FINE_STREAM, STREAM, StreamFormat


def test_every_tensor_is_the_golden_one(frozen: FrozenModel, images: Tensor) -> None:
    """Frozen PyTorch and golden.layers agree in every value of every tensor."""
    golden = layers.run(export(frozen, "mixed"), images.numpy())
    result = frozen.evaluate(images)
    assert set(result.tensors) == set(golden)
    for name, values in result.tensors.items():
        assert (values.numpy() == golden[name]).all(), name
    assert (result.logits.numpy() == golden["logits"].reshape(len(images), -1)).all()
    assert torch.equal(frozen(images), result.logits)


def test_shortcuts_are_the_golden_ones(frozen_branching: FrozenModel, images: Tensor) -> None:
    """Frozen PyTorch and both golden models agree in every value of a residual network."""
    network = export(frozen_branching, "branches")
    golden, quick = layers.run(network, images.numpy()), fast.run(network, images.numpy())
    result = frozen_branching.evaluate(images)
    assert set(result.tensors) == set(golden) == set(quick)
    for name, values in result.tensors.items():
        assert len(values.unique()) > 4, name
        assert (values.numpy() == golden[name]).all(), name
        assert (values.numpy() == quick[name]).all(), name


def test_concatenations_are_the_golden_ones(joining: QuantizedModel, images: Tensor) -> None:
    """Frozen PyTorch and both golden models agree where parts share a quantiser."""
    frozen = freeze(joining, images)
    network = export(frozen, "joins")
    assert network.tensors["cat_1"].parts == ("cat", "right")
    golden, quick = layers.run(network, images.numpy()), fast.run(network, images.numpy())
    result = frozen.evaluate(images)
    assert set(result.tensors) == set(golden) == set(quick)
    for name, values in result.tensors.items():
        assert len(values.unique()) > 4, name
        assert (values.numpy() == golden[name]).all(), name
        assert (values.numpy() == quick[name]).all(), name
    _one_code_away(joining, frozen, images)


def test_half_octaves_are_the_golden_ones(
    frozen_half_branching: FrozenModel, even_images: Tensor
) -> None:
    """The same without multipliers: shortcuts of powers of two, rails that change places."""
    network = export(frozen_half_branching, "branches")
    batch = even_images.numpy()
    golden, quick = layers.run(network, batch), fast.run(network, batch)
    result = frozen_half_branching.evaluate(even_images)
    for name, values in result.tensors.items():
        assert len(values.unique()) > 4, name
        assert (values.numpy() == golden[name]).all(), name
        assert (values.numpy() == quick[name]).all(), name
    convolutions = [node for node in network.nodes if isinstance(node, Convolution)]
    every = np.concatenate([node.half_octaves for node in convolutions])
    assert set(every & 1) == {0, 1}
    octaves = {node.shortcut.shift for node in convolutions if node.shortcut}
    assert len(octaves) > 1


@pytest.mark.parametrize(
    ("form", "zero"), [(STREAM, 0), (STREAM, 128), (FINE_STREAM, 0), (FINE_STREAM, 2048)]
)
def test_an_average_is_clamped_to_the_codes(form: StreamFormat, zero: int) -> None:
    """With constants that double what is above z, all codes end at both ends of their range."""
    pool = FrozenPool(
        name="pool",
        input="a",
        output="b",
        kind=PoolKind.AVERAGE,
        window=Window(kernel=(1, 1)),
        zero=zero,
        form=form,
        multiplier=1 << 14,
        shift=13,
    )
    top = 255 if form is STREAM else 4095
    codes = np.arange(top + 1)
    found = pool(torch.tensor(codes).view(1, 1, 1, -1)).flatten()
    expected = [min(max(2 * (u - zero), -zero), top - zero) + zero for u in codes.tolist()]
    assert found.tolist() == expected
    assert expected[-1] == top


def test_tensors_use_their_range(frozen: FrozenModel, images: Tensor) -> None:
    """The comparison means something: values vary, signed tensors lie on both sides of z."""
    tensors = frozen.evaluate(images).tensors
    for name, values in tensors.items():
        assert len(values.unique()) > 10, name
    signed = tensors["first"]
    assert frozen.tensors["first"].zero == 128
    assert int(signed.min()) < 100
    assert int(signed.max()) > 156


def test_fake_quantisation_is_at_most_one_code_away(
    quantized: QuantizedModel, frozen: FrozenModel, images: Tensor
) -> None:
    """Layer by layer on equal inputs, what was trained differs by at most one stream code.

    The two differ by float32 sums and by the rounding of M and D only; pools are equal.
    """
    _one_code_away(quantized, frozen, images)


def test_fake_shortcuts_are_at_most_one_code_away(
    branching: QuantizedModel, frozen_branching: FrozenModel, images: Tensor
) -> None:
    """The same with residual adds: training adds the shortcut's stream codes."""
    _one_code_away(branching, frozen_branching, images)


def test_fake_half_octaves_are_at_most_one_code_away(
    half_branching: QuantizedModel, frozen_half_branching: FrozenModel, even_images: Tensor
) -> None:
    """The same without multipliers.

    181 * 181 is not 128 * 256 but 0.02 % less, 0.05 codes at most: so often more codes differ.
    """
    _one_code_away(half_branching, frozen_half_branching, even_images, 0.05)


def _one_code_away(
    quantized: QuantizedModel, frozen: FrozenModel, images: Tensor, share: float = 0.01
) -> None:
    tensors = frozen.evaluate(images).tensors

    def stream(name: str) -> Stream:
        source = frozen.tensors[name]
        return Stream(tensors[name].float(), torch.tensor(source.step), source.zero)

    for trained in quantized.nodes:
        read = [stream(name) for name in trained.reads]
        with torch.no_grad():
            result = trained(*read)
        if not isinstance(result, Stream):
            continue
        difference = (result.codes.long() - tensors[trained.output]).abs()
        allowed = 0 if result.step is read[0].step else 1
        assert int(difference.max()) <= allowed, trained.name
        # A code can differ only where the sum is next to a rounding boundary, which is rare.
        assert float((difference > 0).float().mean()) < share, trained.name


def test_refuses_images_that_are_not_bytes(frozen: FrozenModel) -> None:
    """The frozen model takes raw bytes only."""
    with pytest.raises(TypeError, match=r"^Images must be uint8 bytes, not torch\.float32$"):
        frozen(torch.zeros(1, 2, 9, 9))

# SPDX-License-Identifier: Apache-2.0
"""The frozen model, against the golden model and against the fake-quantised one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tritone.golden import layers
from tritone.qat.export import export
from tritone.qat.frozen import FrozenModel
from tritone.qat.modules import QuantizedModel
from tritone.qat.streams import Stream


def test_every_tensor_is_the_golden_one(frozen: FrozenModel, images: Tensor) -> None:
    """Frozen PyTorch and golden.layers agree in every value of every tensor."""
    golden = layers.run(export(frozen, "mixed"), images.numpy())
    result = frozen.evaluate(images)
    assert set(result.tensors) == set(golden)
    for name, values in result.tensors.items():
        assert (values.numpy() == golden[name]).all(), name
    assert (result.logits.numpy() == golden["logits"].reshape(len(images), -1)).all()
    assert torch.equal(frozen(images), result.logits)


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
    tensors = frozen.evaluate(images).tensors
    for trained, exact in zip(quantized.nodes, frozen.nodes, strict=True):
        source = frozen.tensors[trained.input]
        stream = Stream(tensors[trained.input].float(), torch.tensor(source.step), source.zero)
        with torch.no_grad():
            result = trained(stream)
        if not isinstance(result, Stream):
            continue
        difference = (result.codes.long() - tensors[exact.output]).abs()
        allowed = 0 if result.step is stream.step else 1
        assert int(difference.max()) <= allowed, trained.name
        # A code can differ only where the sum is next to a rounding boundary, which is rare.
        assert float((difference > 0).float().mean()) < 0.01, trained.name


def test_refuses_images_that_are_not_bytes(frozen: FrozenModel) -> None:
    """The frozen model takes raw bytes only."""
    with pytest.raises(TypeError, match=r"^Images must be uint8 bytes, not torch\.float32$"):
        frozen(torch.zeros(1, 2, 9, 9))

# SPDX-License-Identifier: Apache-2.0
"""Whether two models of a network agree: the frozen one with golden, and golden with itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tritone.golden import fast, layers
from tritone.graph import Network

__all__ = ["LayerAgreement", "LogitAgreement", "compare_layers", "compare_logits"]

# Images between two calls of ``watch``.
_CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class LogitAgreement:
    """Logits of another model against those of ``fast``.

    Parameters
    ----------
    images, equal : how many, and how many of them have all logits equal.
    logits, mismatches : how many, and how many of them differ.
    first : index of the first image with a difference, None without one.
    logits_of : (image, class) of the golden model.
    """

    images: int
    equal: int
    logits: int
    mismatches: int
    first: int | None
    logits_of: npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class LayerAgreement:
    """Every tensor of ``fast`` against ``layers``: values, those that differ, and the first."""

    images: int
    values: int
    mismatches: int
    tensor: str | None


def compare_logits(
    network: Network,
    images: npt.NDArray[np.uint8],
    logits: npt.NDArray[Any],
    watch: Callable[[int], None] = lambda done: None,
) -> LogitAgreement:
    """Compare ``logits`` with those of the golden model, each of every image.

    Parameters
    ----------
    images : raw bytes (image, channel, y, x).
    logits : of another model, integers (image, class).
    watch : called with the number of images that are done.

    Raises
    ------
    TypeError, ValueError : images or logits that are not those of the network.
    """
    size = int(np.prod(network.tensors[network.output].shape))
    if logits.shape != (len(images), size):
        raise ValueError(f"Logits must have the shape {(len(images), size)}, not {logits.shape}")
    if not np.issubdtype(logits.dtype, np.integer):
        raise TypeError(f"Logits must be integers, not {logits.dtype}")
    own = np.empty(logits.shape, np.int16)
    for start in range(0, len(images), _CHUNK):
        batch = images[start : start + _CHUNK]
        result = fast.run(network, batch, logits_only=True)[network.output]
        own[start : start + len(batch)] = result.reshape(len(batch), size)
        watch(start + len(batch))
    differs = own != logits
    wrong = np.flatnonzero(differs.any(axis=1))
    return LogitAgreement(
        images=len(images),
        equal=len(images) - len(wrong),
        logits=differs.size,
        mismatches=int(differs.sum()),
        first=int(wrong[0]) if len(wrong) else None,
        logits_of=own,
    )


def compare_layers(network: Network, images: npt.NDArray[np.uint8]) -> LayerAgreement:
    """Compare every tensor of the fast model with the slow one; images as in compare_logits."""
    expected, found = layers.run(network, images), fast.run(network, images)
    wrong = {name: int((found[name] != values).sum()) for name, values in expected.items()}
    return LayerAgreement(
        images=len(images),
        values=sum(values.size for values in expected.values()),
        mismatches=sum(wrong.values()),
        tensor=next((name for name, count in wrong.items() if count), None),
    )

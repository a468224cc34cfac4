# SPDX-License-Identifier: Apache-2.0
"""A small network and its nodes, any field of which a test may change."""

from __future__ import annotations

from typing import Any

import numpy as np

from tritone.graph import Convolution, Network, Node, Pool, PoolKind, Shortcut, Tensor, Window

__all__ = ["convolution", "network", "pool", "shortcut"]

SEED = 20240


def convolution(**change: Any) -> Convolution:
    """Return a 3x3 POST4 convolution from 2 to 3 channels."""
    generator = np.random.default_rng(SEED)
    values: dict[str, Any] = {
        "name": "conv",
        "input": "image",
        "output": "features",
        "window": Window(kernel=(3, 3), stride=2, pad=(1, 1, 1, 1)),
        "codebook": "post4",
        "codes": generator.integers(0, 16, (3, 2, 3, 3)).astype(np.uint8),
        "bits": 4,
        "pad_code": 8,
        "multiplier": np.array([-32768, 0, 32767], np.int64),
        "offset": np.array([-(1 << 47), 0, (1 << 47) - 1], np.int64),
        "shift": 20,
        "low": 0,
        "high": 255,
    }
    return Convolution(**(values | change))


def shortcut(**change: Any) -> Shortcut:
    """Return a shortcut from the image to the convolution, whose stride it has."""
    values: dict[str, Any] = {"tensor": "image", "stride": 2, "multiplier": -7, "shift": 9}
    return Shortcut(**(values | change))


def pool(**change: Any) -> Pool:
    """Return a 2x2 average pool behind the convolution."""
    values: dict[str, Any] = {
        "name": "pool",
        "input": "features",
        "output": "pooled",
        "kind": PoolKind.AVERAGE,
        "window": Window(kernel=(2, 2), stride=2),
        "multiplier": 1 << 10,
        "shift": 12,
    }
    return Pool(**(values | change))


def network(
    nodes: tuple[Node, ...] | None = None, tensors: dict[str, Tensor] | None = None, **change: Any
) -> Network:
    """Return image (2, 7, 8) -> conv -> features (3, 4, 4) -> pool -> pooled (3, 2, 2)."""
    every = {
        "image": Tensor(name="image", shape=(2, 7, 8), zero=128, step=1 / 64),
        "features": Tensor(name="features", shape=(3, 4, 4), zero=16, step=0.1),
        "pooled": Tensor(name="pooled", shape=(3, 2, 2), zero=16, step=0.1),
    } | (tensors or {})
    values: dict[str, Any] = {
        "name": "sample",
        "input": "image",
        "output": "pooled",
        "tensors": every,
        "nodes": nodes if nodes is not None else (convolution(), pool()),
    }
    return Network(**(values | change))

# SPDX-License-Identifier: Apache-2.0
"""Random networks with concatenations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from random_networks import Spec, draw_convolution, draw_pool

from tritone.graph import Convolution, Network, Node, PoolKind, Shortcut, Tensor, Window
from tritone.spec.fixed import INPUT_ZERO, MULTIPLIER


def draw_joined(seed: int, channels: int = 16) -> Network:
    """Return layers of which some read concatenations: in a chain, nested, pooled, and added.

    All parts but the last of the widest concatenation have ``channels`` channels.
    """
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(3, 8, 2))
    zero = 64 * int(rng.integers(3))
    tensors = {"input": Tensor(name="input", shape=(3, *size), zero=INPUT_ZERO, step=1 / 64)}
    nodes: list[Node] = []

    def spec(out: int, kernel: int, **more: Any) -> Spec:
        pad = (kernel // 2,) * 4
        return Spec(out=out, kernel=(kernel, kernel), pad=pad, zero=zero, **more)

    def add(name: str, source: str, wanted: Spec) -> None:
        window = Window(kernel=wanted.kernel, stride=wanted.stride, pad=wanted.pad)
        of = tensors[source]
        shape = (of.shape[0] if wanted.kind else wanted.out, *window.output(*of.shape[1:]))
        to = Tensor(name=name, shape=shape, zero=wanted.zero, step=1.0, wide=wanted.wide)
        tensors[name] = to
        make: Any = draw_pool if wanted.kind else lambda *of: draw_convolution(rng, *of)
        nodes.append(make(name, of, wanted, to))

    def join(name: str, *parts: str) -> None:
        shape = (sum(tensors[part].shape[0] for part in parts), *tensors[parts[0]].shape[1:])
        tensors[name] = Tensor(name=name, shape=shape, zero=zero, step=1.0, parts=parts)

    add("stem", "input", spec(channels, 3, codebook="int8", bits=8))
    add("narrow", "stem", spec(channels, 1))
    join("pair", "stem", "narrow")
    add("wide", "pair", spec(int(rng.integers(1, 20)), 5, codebook="int4"))
    join("three", "pair", "wide")
    everything = tensors["three"].shape[0]
    add("depthwise", "three", spec(everything, 3, groups=everything))
    add("pooled", "three", Spec(kernel=(2, 2), kind=PoolKind.MAX, zero=zero))
    add("squeezed", "depthwise", spec(int(rng.integers(1, 20)), 1))
    add("sum", "squeezed", spec(2 * channels, 3))
    node = nodes[-1]
    assert isinstance(node, Convolution)
    factor = round(rng.uniform(0.3, 1.2) * (MULTIPLIER.high >> 1))
    t = max(0, node.shift - MULTIPLIER.bits + 2)
    nodes[-1] = replace(node, shortcut=Shortcut(tensor="pair", multiplier=factor, shift=t))
    height, width = tensors["pooled"].shape[1:]
    add("crop", "sum", Spec(kernel=(2, 2), kind=PoolKind.AVERAGE, zero=zero))
    add("last", "pooled", Spec(out=2 * channels, kernel=(1, 1), zero=zero))
    join("all", "crop", "last")
    add("mean", "all", Spec(kernel=(height, width), kind=PoolKind.AVERAGE, zero=zero))
    add("logits", "mean", Spec(out=10, kernel=(1, 1), bits=8, wide=True))
    return Network(
        name="joined", input="input", output="logits", tensors=tensors, nodes=tuple(nodes)
    )

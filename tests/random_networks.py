# SPDX-License-Identifier: Apache-2.0
"""Random networks to test with: chains, residual blocks, adaptive steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tritone.graph import Convolution, Gain, Network, Node, Pool, PoolKind, Shortcut, Tensor, Window
from tritone.spec.catalog import codebook
from tritone.spec.fixed import INPUT_ZERO, LOGIT, MULTIPLIER, SHIFT_MAX, STREAM, half


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A layer to draw: a convolution to ``out`` channels, or a pool if ``kind`` is given."""

    out: int = 0
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    codebook: str = "post4"
    bits: int = 4
    zero: int = 0
    pad_code: int | None = None
    wide: bool = False
    kind: PoolKind | None = None
    groups: int = 1


def draw_convolution(
    rng: np.random.Generator, name: str, source: Tensor, spec: Spec, to: Tensor
) -> Convolution:
    book = codebook(spec.codebook)
    shape = (spec.out, source.shape[0] // spec.groups, *spec.kernel)
    codes = rng.choice(np.array(book.codes, np.uint8), shape)
    scaled = np.array([0 if level is None else level.scaled for level in book.levels])[codes]
    # A spread of a quarter of the range, so that values hit the clamp sometimes but not always.
    spread = np.sqrt((scaled.astype(float) ** 2).sum(axis=(1, 2, 3))) * (1 << spec.bits) / 2
    real = (3000 if spec.wide else 60) / np.maximum(spread, 1) * rng.uniform(-1.5, 1.5, spec.out)
    shift = next(
        s
        for s in range(SHIFT_MAX, -1, -1)
        if np.abs(np.round(real * 2.0**s)).max() <= MULTIPLIER.high
    )
    top = LOGIT if spec.wide else STREAM
    center = 0 if spec.wide else 100
    return Convolution(
        name=name,
        input=source.name,
        output=to.name,
        window=Window(kernel=spec.kernel, stride=spec.stride, pad=spec.pad),
        codebook=spec.codebook,
        codes=codes,
        bits=spec.bits,
        pad_code=source.zero >> (8 - spec.bits) if spec.pad_code is None else spec.pad_code,
        multiplier=np.round(real * 2.0**shift).astype(np.int64),
        offset=((center + rng.integers(-50, 50, spec.out)) << shift) + half(shift),
        shift=shift,
        low=top.low,
        high=top.high,
        groups=spec.groups,
    )


def draw_pool(name: str, source: Tensor, spec: Spec, to: Tensor) -> Node:
    assert spec.kind is not None
    size = spec.kernel[0] * spec.kernel[1]
    average = spec.kind is PoolKind.AVERAGE
    shift = 14 if average else 0
    return Pool(
        name=name,
        input=source.name,
        output=to.name,
        kind=spec.kind,
        window=Window(kernel=spec.kernel, stride=spec.stride, pad=spec.pad),
        multiplier=round((1 << shift) / size) if average else 1,
        shift=shift,
    )


def draw_network(
    shape: tuple[int, int, int], specs: Sequence[Spec], seed: int = 0, zero: int = INPUT_ZERO
) -> Network:
    """Return a chain of layers ``layer0``, ``layer1``, ... with random weights and constants."""
    rng = np.random.default_rng(seed)
    tensors = [Tensor(name="input", shape=shape, zero=zero, step=1 / 64)]
    nodes: list[Node] = []
    for index, spec in enumerate(specs):
        source = tensors[-1]
        window = Window(kernel=spec.kernel, stride=spec.stride, pad=spec.pad)
        to = Tensor(
            name=f"tensor{index}",
            shape=(source.shape[0] if spec.kind else spec.out, *window.output(*source.shape[1:])),
            zero=source.zero if spec.kind else spec.zero,
            step=1.0,
            wide=spec.wide,
        )
        make: Any = draw_pool(f"layer{index}", source, spec, to) if spec.kind else None
        nodes.append(make or draw_convolution(rng, f"layer{index}", source, spec, to))
        tensors.append(to)
    return Network(
        name="random",
        input="input",
        output=tensors[-1].name,
        tensors={tensor.name: tensor for tensor in tensors},
        nodes=tuple(nodes),
    )


def draw_chain(seed: int) -> Network:
    """Return a random chain of one to four layers of all kinds, in groups of channels or not."""
    rng = np.random.default_rng(seed)

    def pick(*choices: Any) -> Any:
        return choices[int(rng.integers(len(choices)))]

    channels, *size = shape = tuple(int(n) for n in rng.integers((1, 3, 3), (20, 9, 9)))
    specs: list[Spec] = []
    books = ("post4", "int8", "int4", "pot4", "fp4_e2m1", "ternary", "binary", "post5", "int6")
    layers = pick(1, 2, 3, 4)
    for index in range(layers):
        last = index == layers - 1
        pad = tuple(int(n) for n in rng.integers(0, 3, 4))
        kernel = tuple(pick(*[k for k in (1, 2, 3, 3, 5, 7) if k <= n]) for n in size)
        stride = pick(1, 1, 2)
        kind = pick(None, None, None, PoolKind.MAX, PoolKind.AVERAGE)
        if kind is None and last and pick(True, False):
            # A linear layer: the window is the whole input.
            kernel, pad, stride = tuple(size), (0, 0, 0, 0), pick(1, 3)
        bits = pick(1, 2, 3, 4, 4, 5, 6, 8)
        # Now and then depthwise, or in groups of some other number of channels.
        groups = pick(1, 1, channels, pick(*[n for n in range(1, 20) if channels % n == 0]))
        most = 20 if max(kernel) < 5 else 9
        out = groups * int(rng.integers(1, max(1, most // groups) + 1))
        specs.append(
            Spec(
                out=out,
                groups=groups,
                kernel=kernel,
                stride=stride,
                pad=pad,
                codebook=pick(*books),
                bits=bits,
                zero=pick(0, 128, 0 if last else 128),
                pad_code=pick(None, int(rng.integers(1 << bits))),
                wide=last and kind is None and pick(True, False),
                kind=kind,
            )
        )
        channels = channels if kind else out
        if specs[-1].wide:
            specs[-1] = replace(specs[-1], zero=0)
        top, left, bottom, right = pad
        size = [
            (size[0] + top + bottom - kernel[0]) // stride + 1,
            (size[1] + left + right - kernel[1]) // stride + 1,
        ]
    return draw_network(shape, specs, seed)


def draw_residual(seed: int) -> Network:
    """Return three convolutions of which two add a shortcut: grouped, strided, channels padded."""
    rng = np.random.default_rng(seed)
    ring = (1, 1, 1, 1)
    groups, stride, added = (int(n) for n in rng.integers((1, 1, 0), (4, 4, 3)))
    channels = groups * int(rng.integers(1, 4))
    size = tuple(int(n) for n in rng.integers(2, 8, 2))
    tensors = [Tensor(name="input", shape=(channels, *size), zero=INPUT_ZERO, step=1 / 64)]
    nodes: list[Node] = []
    outs = (channels, channels + groups * added, 2 * channels + added)
    for index, out in enumerate(outs):
        step = stride if index == 1 else 1
        spec = Spec(
            out=out, stride=step, pad=ring, zero=128 * (index == 0), groups=(1, groups, 1)[index]
        )
        source = tensors[-1]
        window = Window(kernel=(3, 3), stride=step, pad=ring)
        shape = (out, *window.output(*source.shape[1:]))
        to = Tensor(name=f"tensor{index}", shape=shape, zero=spec.zero, step=1.0)
        node = draw_convolution(rng, f"layer{index}", source, spec, to)
        if index:
            # From the input of the layer, or the network's input for the last one.
            tensor = source if index == 1 else tensors[0]
            wanted = rng.choice([-1, 1]) * rng.uniform(0.1, 1.5) * 2.0**node.shift
            t = max(0, int(np.ceil(np.log2(abs(wanted) / MULTIPLIER.high))))
            free = out - tensor.shape[0]
            node = replace(
                node,
                shortcut=Shortcut(
                    tensor=tensor.name,
                    stride=stride,
                    channel_offset=int(rng.integers(free + 1)),
                    multiplier=round(wanted / 2**t),
                    shift=t,
                ),
            )
        nodes.append(node)
        tensors.append(to)
    return Network(
        name="residual",
        input="input",
        output="tensor2",
        tensors={tensor.name: tensor for tensor in tensors},
        nodes=tuple(nodes),
    )


def draw_adaptive(seed: int) -> Network:
    """Return a convolution that reads with the beta of the images, which three nodes compute."""
    rng = np.random.default_rng(seed)
    channels, hidden, out = (int(n) for n in rng.integers(1, 6, 3))
    size = tuple(int(n) for n in rng.integers(2, 6, 2))
    bits, headroom = int(rng.integers(1, 7)), int(rng.integers(0, 3))
    names = ("input", "features", "mean", "hidden", "beta", "result")
    shapes = (
        (2, *size),
        (channels, *size),
        (channels, 1, 1),
        (hidden, 1, 1),
        (1, 1, 1),
        (out, *size),
    )
    tensors = {
        name: Tensor(
            name=name,
            shape=shape,
            zero=INPUT_ZERO if name == "input" else 0,
            step=1.0,
            wide=name == "beta",
        )
        for name, shape in zip(names, shapes, strict=True)
    }
    ring = (1, 1, 1, 1)
    specs = (
        Spec(out=channels, pad=ring),
        Spec(kernel=size, kind=PoolKind.AVERAGE),
        Spec(out=hidden, kernel=(1, 1), codebook="int8", bits=8),
        Spec(out=1, kernel=(1, 1), codebook="int8", bits=8, wide=True),
    )
    nodes: list[Node] = []
    for spec, source, to in zip(specs, names[:4], names[1:5], strict=True):
        if spec.kind:
            nodes.append(draw_pool(to, tensors[source], spec, tensors[to]))
        else:
            nodes.append(draw_convolution(rng, to, tensors[source], spec, tensors[to]))
    beta = nodes[-1]
    assert isinstance(beta, Convolution)
    # Its values are spread about 3000/4; beyond both bounds of beta are some of them.
    offset = beta.offset + (int(rng.integers(500, 1500)) << beta.shift)
    nodes[-1] = replace(beta, low=512, high=2048, offset=offset)
    reader = Spec(out=out, pad=ring, bits=min(bits, 8 - headroom))
    node = draw_convolution(rng, "result", tensors["features"], reader, tensors["result"])
    gain = Gain(tensor="beta", adapted=bool(rng.integers(2)), headroom=headroom)
    halved = node.multiplier // 2 if gain.adapted else node.multiplier
    nodes.append(replace(node, gain=gain, multiplier=halved))
    return Network(
        name="adaptive", input="input", output="result", tensors=tensors, nodes=tuple(nodes)
    )


@dataclass(frozen=True, kw_only=True)
class Step:
    """A layer of a network that is no chain: what it reads and adds, -1 being the image."""

    spec: Spec
    reads: int
    adds: int | None = None
    stride: int = 1
    offset: int = 0


def draw_steps(shape: tuple[int, int, int], steps: Sequence[Step], seed: int) -> Network:
    """Return the layers ``layer0`` ... with random weights, constants, K and t."""
    rng = np.random.default_rng(seed)
    tensors = {-1: Tensor(name="input", shape=shape, zero=INPUT_ZERO, step=1 / 64)}
    nodes: list[Node] = []
    for index, step in enumerate(steps):
        spec, source = step.spec, tensors[step.reads]
        window = Window(kernel=spec.kernel, stride=spec.stride, pad=spec.pad)
        to = Tensor(
            name=f"tensor{index}",
            shape=(source.shape[0] if spec.kind else spec.out, *window.output(*source.shape[1:])),
            zero=source.zero if spec.kind else spec.zero,
            step=1.0,
            wide=spec.wide,
        )
        tensors[index] = to
        if spec.kind:
            nodes.append(draw_pool(f"layer{index}", source, spec, to))
            continue
        node = draw_convolution(rng, f"layer{index}", source, spec, to)
        if step.adds is not None:
            wanted = rng.choice([-1, 1]) * rng.uniform(0.3, 1.2) * 2.0**node.shift
            t = max(0, int(np.ceil(np.log2(abs(wanted) / MULTIPLIER.high))))
            shortcut = Shortcut(
                tensor=tensors[step.adds].name,
                stride=step.stride,
                channel_offset=step.offset,
                multiplier=round(wanted / 2**t),
                shift=t,
            )
            node = replace(node, shortcut=shortcut)
        nodes.append(node)
    return Network(
        name="steps",
        input="input",
        output=tensors[len(steps) - 1].name,
        tensors={tensor.name: tensor for tensor in tensors.values()},
        nodes=tuple(nodes),
    )


def draw_blocks(
    kind: str,
    seed: int,
    channels: int = 8,
    books: Sequence[str] = ("post4", "int4", "pot4", "ternary"),
) -> Network:
    """Return two residual blocks with a shortcut of ``kind`` in the first, and logits.

    identity: of equal shape, any number of channels. pad: stride 2 and ``channels`` to twice as
    many with zeros around (option A). project: a convolution of 1x1 and stride 2 (option B).
    """
    rng = np.random.default_rng(seed)
    ring = (1, 1, 1, 1)
    size = tuple(int(n) for n in rng.integers(4, 8, 2))

    def conv(out: int, stride: int = 1, zero: int = 0, kernel: int = 3) -> Spec:
        return Spec(
            out=out,
            kernel=(kernel, kernel),
            stride=stride,
            pad=ring if kernel == 3 else (0, 0, 0, 0),
            codebook=books[int(rng.integers(len(books)))],
            bits=int(rng.integers(2, 5)),
            zero=zero,
        )

    stem = Step(spec=Spec(out=channels, pad=ring, codebook="int8", bits=8, zero=64), reads=-1)
    wider = 2 * channels
    if kind == "identity":
        wider = channels
        first = [
            Step(spec=conv(int(rng.integers(1, 20))), reads=0),
            Step(spec=conv(channels, zero=128), reads=1, adds=0),
        ]
    elif kind == "pad":
        first = [
            Step(spec=conv(wider, stride=2), reads=0),
            Step(spec=conv(wider, zero=64), reads=1, adds=0, stride=2, offset=channels // 2),
        ]
    else:
        first = [
            Step(spec=conv(wider, stride=2), reads=0),
            Step(spec=conv(wider, stride=2, zero=128, kernel=1), reads=0),
            Step(spec=conv(wider), reads=1, adds=2),
        ]
    made = len(first)
    second = [
        Step(spec=conv(wider), reads=made),
        Step(spec=conv(wider), reads=made + 1, adds=made),
        Step(spec=Spec(kernel=(2, 2), kind=PoolKind.AVERAGE), reads=made + 2),
        Step(spec=Spec(out=10, kernel=(1, 1), codebook="int8", bits=8, wide=True), reads=made + 3),
    ]
    return draw_steps((3, *size), [stem, *first, *second], seed)


def to_half_octaves(network: Network, seed: int = 0) -> Network:
    """Return ``network`` for machines without multipliers: near scales, averages, shortcuts."""
    rng = np.random.default_rng(seed)
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Pool):
            # Another scale than the mean's where the window is no power of two.
            power = round(np.log2(node.multiplier))
            nodes.append(replace(node, multiplier=1 << power))
            continue
        real = np.maximum(np.abs(node.multiplier), 1) / 2.0**node.shift
        k = np.clip(np.round(-2 * np.log2(real)), -1, 60).astype(np.int64)
        codes = (node.offset - half(node.shift)) / 2.0**node.shift
        shifts = (k + 1) // 2
        shortcut = node.shortcut
        if shortcut is not None:
            up = int(rng.integers(-min(3, int(shifts.min())), 2))
            shortcut = replace(shortcut, multiplier=1, shift=up)
        nodes.append(
            replace(
                node,
                multiplier=np.ones_like(node.multiplier),
                shift=0,
                half_octaves=k,
                offset=np.round(codes * 2.0**shifts).astype(np.int64) + (1 << shifts >> 1),
                shortcut=shortcut,
            )
        )
    return replace(network, nodes=tuple(nodes))

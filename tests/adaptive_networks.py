# SPDX-License-Identifier: Apache-2.0
"""Networks given adaptive steps: adapters with random weights, and betas that images tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tritone.golden import fast
from tritone.graph import Convolution, Gain, Network, Node, Pool, PoolKind, Tensor, Window
from tritone.spec.catalog import codebook
from tritone.spec.fixed import BETA_HIGH, BETA_LOW, MULTIPLIER, SHIFT_MAX, STREAM, half

POINT = Window(kernel=(1, 1))


def draw_contrasts(network: Network, count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return random raw bytes (image, channel, y, x), from flat images to the full range."""
    rng = np.random.default_rng(seed)
    shape = network.tensors[network.input].shape
    images = rng.integers(-128, 128, (count, *shape))
    strength = np.linspace(0.1, 1, count) if count > 1 else np.ones(1)
    return (128 + images * strength[:, None, None, None]).astype(np.uint8)


def adapt(network: Network, adapted: bool, seed: int = 0) -> Network:
    """Return ``network`` with an adaptive step for every tensor that can have one.

    These are the 8-bit tensors with zero 0 that convolutions read with at most 7 bits, padded with
    0; all such convolutions read with the beta, which is about 0.7 to 1.6.
    """
    rng = np.random.default_rng(seed)
    images = draw_contrasts(network, 8, seed)
    steps: dict[str, str] = {}  # tensor: beta
    readers = [node for node in network.nodes if isinstance(node, Convolution)]
    first = network.tensors[network.input]
    result = replace(network, nodes=(), tensors={first.name: first}, output=first.name)
    for node in network.nodes:
        if isinstance(node, Convolution) and node.input in steps and _fits(node):
            gain = Gain(tensor=steps[node.input], adapted=adapted)
            node = replace(_halved(node) if adapted else node, gain=gain)
        result = _with(result, node, network.tensors[node.output])
        tensor = network.tensors[node.output]
        if tensor.zero == 0 and any(each.input == tensor.name and _fits(each) for each in readers):
            result = _with_adapter(result, tensor, images, rng)
            steps[tensor.name] = result.output
    return result


def _fits(node: Convolution) -> bool:
    return node.bits < STREAM.bits and node.pad_code == 0


def _halved(node: Convolution) -> Convolution:
    """Return the same function with an M that beta may double."""
    assert node.shift > 0
    shortcut = node.shortcut
    if shortcut is not None and shortcut.shift:
        shortcut = replace(shortcut, shift=shortcut.shift - 1)
    elif shortcut is not None:
        shortcut = replace(shortcut, multiplier=shortcut.multiplier // 2)
    return replace(
        node,
        multiplier=node.multiplier // 2,
        offset=node.offset // 2,
        shift=node.shift - 1,
        shortcut=shortcut,
    )


def _with(network: Network, node: Node, output: Tensor) -> Network:
    return replace(
        network,
        nodes=(*network.nodes, node),
        tensors={**network.tensors, output.name: output},
        output=output.name,
    )


def _scaled(name: str, source: str, codes: npt.NDArray[np.uint8], real: float) -> Convolution:
    """Return an int8 layer that multiplies its sums, 128 times those of the levels, by ``real``."""
    shift = next(
        each for each in range(SHIFT_MAX, -1, -1) if round(real * 2.0**each) <= MULTIPLIER.high
    )
    return Convolution(
        name=name,
        input=source,
        output=name,
        window=POINT,
        codebook="int8",
        codes=codes,
        bits=STREAM.bits,
        pad_code=0,
        multiplier=np.full(len(codes), round(real * 2.0**shift), np.int64),
        offset=np.full(len(codes), half(shift), np.int64),
        shift=shift,
        low=STREAM.low,
        high=STREAM.high,
    )


def _with_adapter(
    network: Network, tensor: Tensor, images: npt.NDArray[np.uint8], rng: np.random.Generator
) -> Network:
    """Return ``network`` with mean, hidden from 8 channels on, and beta of its last tensor."""
    channels, height, width = tensor.shape
    shift = 14
    mean = Pool(
        name=f"{tensor.name}.mean",
        input=tensor.name,
        output=f"{tensor.name}.mean",
        kind=PoolKind.AVERAGE,
        window=Window(kernel=(height, width)),
        multiplier=round(2**shift / (height * width)),
        shift=shift,
    )
    network = _with(network, mean, _codes(mean.output, channels))
    codes = np.array(codebook("int8").codes, np.uint8)
    if channels >= 8:
        weights = rng.choice(codes, (channels // 4, channels, 1, 1))
        hidden = _scaled(f"{tensor.name}.hidden", mean.output, weights, 1 / (128 * 60 * channels))
        network = _with(network, hidden, _codes(hidden.output, channels // 4))
        channels //= 4
    weights = rng.choice(codes, (1, channels, 1, 1))
    levels = [0 if level is None else level.scaled for level in codebook("int8").levels]
    seen = fast.run(network, images, logits_only=True)[network.output].reshape(len(images), -1)
    sums = seen.astype(np.int64) @ np.array(levels, np.int64)[weights.reshape(-1)]
    beta = _scaled(
        f"{tensor.name}.beta", network.output, weights, 300 / max(1.0, float(sums.std()))
    )
    center = 1100 - sums.mean() * int(beta.multiplier[0]) / 2.0**beta.shift
    beta = replace(
        beta,
        offset=beta.offset + round(center * 2.0**beta.shift),
        low=BETA_LOW,
        high=BETA_HIGH,
    )
    made = Tensor(name=beta.output, shape=(1, 1, 1), zero=0, step=1 / 1024, wide=True)
    return _with(network, beta, made)


def _codes(name: str, channels: int) -> Tensor:
    return Tensor(name=name, shape=(channels, 1, 1), zero=0, step=1.0)

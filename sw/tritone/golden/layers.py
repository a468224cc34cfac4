# SPDX-License-Identifier: Apache-2.0
"""A network evaluated layer by layer, by the definition in docs/numerics.md; slow and obvious."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.golden.arithmetic import Integers, clamp, multiply_add, round_shift
from tritone.golden.batch import require_images
from tritone.graph import Convolution, Network, Pool, PoolKind, Shortcut, Tensor, Window
from tritone.spec.catalog import codebook
from tritone.spec.fixed import BETA, GAIN_FRACTION, SQRT2_FRACTION, SQRT2_NUMERATOR

__all__ = ["convolve", "pool", "rail_sums", "read", "read_adapted", "run", "shortcut_term"]


def run(network: Network, images: npt.NDArray[np.uint8]) -> dict[str, Integers]:
    """Return every tensor, (image, channel, y, x), the input among them.

    Parameters
    ----------
    images : raw bytes (image, channel, y, x).
    """
    require_images(network, images)
    tensors: dict[str, Integers] = {network.input: images.astype(np.int64)}
    for node in network.nodes:
        codes, source = tensors[node.input], network.tensors[node.input]
        if isinstance(node, Convolution):
            added: Integers | int = 0
            if node.shortcut is not None:
                name = node.shortcut.tensor
                added = shortcut_term(node, node.shortcut, network.tensors[name], tensors[name])
            beta = None if node.gain is None else tensors[node.gain.tensor]
            tensors[node.output] = convolve(node, source, codes, added, beta)
        else:
            tensors[node.output] = pool(node, source, codes)
        for joined in network.joined(tensors):
            parts = [tensors[name] for name in joined.parts]
            tensors[joined.name] = np.concatenate(parts, axis=1)
    return tensors


def read(codes: Integers, source: Tensor, bits: int) -> Integers:
    """Return the activations of ``bits`` bits that ``codes`` of the tensor ``source`` become."""
    zero, shift = source.zero, source.stream_bits - bits
    return clamp((zero >> shift) + round_shift(codes - zero, shift), 0, (1 << bits) - 1)


def read_adapted(
    codes: Integers, source: Tensor, beta: Integers, bits: int, headroom: int
) -> Integers:
    """Return the activations that ``codes`` become with the betas (image, 1, 1, 1), U2.10."""
    gain = ((1 << (BETA.frac + GAIN_FRACTION)) + (beta >> 1)) // beta
    shift = source.stream_bits - bits - headroom + GAIN_FRACTION
    return clamp(round_shift(codes * gain, shift), 0, (1 << bits) - 1)


def rail_sums(node: Convolution, activations: Integers, zero: int) -> tuple[Integers, Integers]:
    """Return E and O, (image, output channel, y, x), of a convolution: sums over its window."""
    book = codebook(node.codebook)
    even = np.array([0 if level is None else level.even for level in book.levels])[node.codes]
    odd = np.array([0 if level is None else level.odd for level in book.levels])[node.codes]
    padded = _pad(activations, node.window, node.pad_code) - zero
    height, width = node.window.output(*activations.shape[2:])
    sums = [
        np.zeros((len(activations), len(node.codes), height, width), np.int64) for _ in range(2)
    ]
    inputs, outputs = node.codes.shape[1], len(node.codes) // node.groups
    for y in range(height):
        for x in range(width):
            seen = _window(padded, node.window, y, x)
            for total, weights in zip(sums, (even, odd), strict=True):
                for group in range(node.groups):
                    taken = seen[:, group * inputs : (group + 1) * inputs]
                    made = slice(group * outputs, (group + 1) * outputs)
                    total[:, made, y, x] = np.einsum("nchw,ochw->no", taken, weights[made])
    return sums[0], sums[1]


def shortcut_term(
    node: Convolution, shortcut: Shortcut, source: Tensor, codes: Integers
) -> Integers:
    """Return what the shortcut of ``node`` adds to each of its output channels.

    Parameters
    ----------
    source, codes : the tensor that the shortcut reads.
    """
    height, width = shortcut.output(*codes.shape[2:])
    term = np.zeros((len(codes), len(node.codes), height, width), np.int64)
    for channel in range(codes.shape[1]):
        made = shortcut.channel_offset + channel
        shift = int(node.shortcut_shifts[made])
        for y in range(height):
            for x in range(width):
                k = codes[:, channel, shortcut.stride * y, shortcut.stride * x]
                term[:, made, y, x] = ((k - source.zero) * shortcut.multiplier) << shift
    return term


def convolve(
    node: Convolution,
    source: Tensor,
    codes: Integers,
    added: Integers | int = 0,
    beta: Integers | None = None,
) -> Integers:
    """Return the output of a convolution whose input ``codes`` belong to the tensor ``source``.

    ``added`` is the term of its shortcut, ``beta`` the tensor of its gain.
    """
    by_channel = (slice(None), None, None)
    zero, multiplier = source.zero >> node.read_shift(source), node.multiplier[by_channel]
    if node.gain is None or beta is None:
        activations = read(codes, source, node.bits)
    else:
        activations = read_adapted(codes, source, beta, node.bits, node.gain.headroom)
        if node.gain.adapted:
            multiplier = round_shift(multiplier * beta, BETA.frac)
    even, odd = rail_sums(node, activations, zero)
    v = (even << SQRT2_FRACTION) + SQRT2_NUMERATOR * odd
    # sqrt 2 (even + odd sqrt 2) = 2 odd + even sqrt 2: the rails change places.
    turned = (odd << (SQRT2_FRACTION + 1)) + SQRT2_NUMERATOR * even
    v = np.where(node.odd[by_channel] == 1, turned, v)
    scaled = multiply_add(v, multiplier, node.offset[by_channel])
    return clamp((scaled + added) >> node.shifts[by_channel], node.low, node.high)


def pool(node: Pool, source: Tensor, codes: Integers) -> Integers:
    """Return the output of a pool whose input ``codes`` belong to the tensor ``source``."""
    zero = source.zero
    maximum = node.kind is PoolKind.MAX
    padded = _pad(codes, node.window, 0 if maximum else zero)
    height, width = node.window.output(*codes.shape[2:])
    result = np.zeros((*codes.shape[:2], height, width), np.int64)
    for y in range(height):
        for x in range(width):
            seen = _window(padded, node.window, y, x)
            if maximum:
                result[:, :, y, x] = seen.max(axis=(2, 3))
            else:
                excess = (seen - zero).sum(axis=(2, 3))
                mean = round_shift(excess * node.multiplier, node.shift)
                result[:, :, y, x] = clamp(mean, -zero, source.form.high - zero) + zero
    return result


def _pad(values: Integers, window: Window, value: int) -> Integers:
    top, left, bottom, right = window.pad
    return np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _window(padded: Integers, window: Window, y: int, x: int) -> Integers:
    """Return what the window of output pixel (y, x) covers: (image, channel, ky, kx)."""
    top, left = y * window.stride, x * window.stride
    return padded[:, :, top : top + window.kernel[0], left : left + window.kernel[1]]

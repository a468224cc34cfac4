# SPDX-License-Identifier: Apache-2.0
"""The same values as ``layers`` for whole test sets: window columns and BLAS, within bounds.

A float product of integer matrices is exact, in whatever order it is summed, while the sum of the
magnitudes of all terms stays below 2**24 (float32) or 2**46 (float64). That bound is taken from
each layer's own weights and bits; the narrowest type that keeps it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tritone.golden.batch import require_images
from tritone.graph import Convolution, Network, Pool, PoolKind, Shortcut, Tensor, Window
from tritone.spec.catalog import codebook
from tritone.spec.fixed import (
    BETA,
    GAIN_FRACTION,
    SQRT2_FRACTION,
    SQRT2_NUMERATOR,
    half,
)
from tritone.spec.level import Level

__all__ = ["run"]

Codes = npt.NDArray[np.int16]
Sums = npt.NDArray[np.int64]

# Sums below this magnitude are exact in the type. A float64 would hold 2**53; with 2**46 the int64
# behind it also holds v * M + D, M having 16 bits and D 48, and a shortcut's 55 bits.
_EXACT: tuple[tuple[type[np.floating[Any]], int], ...] = (
    (np.float32, 1 << 24),
    (np.float64, 1 << 46),
)

# Bytes of window columns that a batch may take.
_COLUMN_BYTES = 1 << 26


def run(
    network: Network, images: npt.NDArray[np.uint8], logits_only: bool = False
) -> dict[str, Codes]:
    """Return every tensor, (image, channel, y, x), the input among them.

    Parameters
    ----------
    images : raw bytes (image, channel, y, x).
    logits_only : return the output of the network alone.
    """
    require_images(network, images)
    kept = [network.output] if logits_only else list(network.tensors)
    results = {
        name: np.empty((len(images), *network.tensors[name].shape), np.int16) for name in kept
    }
    batch = max(1, _COLUMN_BYTES // _column_bytes(network))
    for start in range(0, len(images), batch):
        stop = min(start + batch, len(images))
        # Channels lead, so that a layer is one product of matrices without a transposition.
        tensors = {network.input: images[start:stop].transpose(1, 0, 2, 3).astype(np.int16)}
        for node in network.nodes:
            codes, source = tensors[node.input], network.tensors[node.input]
            if isinstance(node, Convolution):
                beta = None if node.gain is None else tensors[node.gain.tensor].astype(np.int64)
                sums = _convolve(node, source, codes, beta)
                if node.shortcut is not None:
                    name = node.shortcut.tensor
                    _add(sums, node, node.shortcut, network.tensors[name].zero, tensors[name])
                tensors[node.output] = _requantize(node, sums)
            else:
                tensors[node.output] = _pool(node, source, codes)
            for joined in network.joined(tensors):
                tensors[joined.name] = np.concatenate([tensors[name] for name in joined.parts])
        for name in kept:
            results[name][start:stop] = tensors[name].transpose(1, 0, 2, 3)
    return results


def _column_bytes(network: Network) -> int:
    """Return the bytes of window columns that one image takes in the layer that takes most."""
    sizes = [1]
    for node in network.nodes:
        if isinstance(node, Convolution):
            _, height, width = network.tensors[node.output].shape
            sizes.append(node.codes[0].size * height * width * np.dtype(np.float64).itemsize)
    return max(sizes)


def _exact_type(node: Convolution, weights: npt.NDArray[np.int64], largest: int) -> type[Any]:
    """Return the narrowest float that holds sums of ``weights`` times values up to ``largest``."""
    bound = int(np.abs(weights).sum(axis=1).max()) * largest
    for kind, limit in _EXACT:
        if bound < limit:
            return kind
    raise ValueError(
        f"Layer {node.name} must have sums below {_EXACT[-1][1]} to be exact, not {bound}"
    )


def _read(
    node: Convolution, source: Tensor, codes: Codes, beta: Sums | None
) -> npt.NDArray[np.integer[Any]]:
    """Return a - z_a."""
    shift, top = node.read_shift(source), (1 << node.bits) - 1
    zero = source.zero >> shift
    if beta is None:
        static = zero + ((codes - source.zero + half(shift)) >> shift)
        return np.asarray(np.clip(static, 0, top) - zero)
    gain = ((1 << (BETA.frac + GAIN_FRACTION)) + (beta >> 1)) // beta
    shift += GAIN_FRACTION
    return np.asarray(np.clip((codes * gain + half(shift)) >> shift, 0, top))


def _weights(node: Convolution) -> npt.NDArray[np.int64]:
    """Return what each activation counts in v, (channel, weight): 128 times the level.

    In channels of odd half octaves it is sqrt 2 times as much.
    """
    levels = [level or Level(0) for level in codebook(node.codebook).levels]
    even = np.array([level.even for level in levels], np.int64)
    odd = np.array([level.odd for level in levels], np.int64)
    one, root = 1 << SQRT2_FRACTION, SQRT2_NUMERATOR
    tables = np.stack([one * even + root * odd, root * even + 2 * one * odd])
    chosen: npt.NDArray[np.int64] = tables[node.odd[:, None, None, None], node.codes]
    return chosen.reshape(len(node.codes), -1)


def _convolve(node: Convolution, source: Tensor, codes: Codes, beta: Sums | None) -> Sums:
    """Return v * M + D; ``beta`` is that of the gain, (1, image, 1, 1)."""
    weights = _weights(node)
    top, zero = (1 << node.bits) - 1, source.zero >> node.read_shift(source)
    activations = _read(node, source, codes, beta)
    kind = _exact_type(node, weights, max(zero, top - zero))
    padded = _pad(activations.astype(kind), node.window, node.pad_code - zero)
    columns = _windows(padded, node.window)  # (channel, kernel y, kernel x, image, y, x)
    shape = columns.shape[3:]
    taps = weights.shape[1]
    grouped = weights.astype(kind).reshape(node.groups, -1, taps)
    sums = grouped @ columns.reshape(node.groups, taps, -1)
    result: Sums = sums.astype(np.int64).reshape(len(node.codes), *shape)
    multiplier = node.multiplier[:, None, None, None]
    if beta is not None and node.gain is not None and node.gain.adapted:
        multiplier = (multiplier * beta + half(BETA.frac)) >> BETA.frac
    result *= multiplier
    result += node.offset[:, None, None, None]
    return result


def _add(sums: Sums, node: Convolution, shortcut: Shortcut, zero: int, codes: Codes) -> None:
    """Add the term of the shortcut of ``node`` to ``sums``, both (channel, image, y, x)."""
    seen = codes[:, :, :: shortcut.stride, :: shortcut.stride].astype(np.int64) - zero
    met = slice(shortcut.channel_offset, shortcut.channel_offset + len(codes))
    factors = shortcut.multiplier << node.shortcut_shifts[met]
    sums[met] += seen * factors[:, None, None, None]


def _requantize(node: Convolution, sums: Sums) -> Codes:
    sums >>= node.shifts[:, None, None, None]
    np.clip(sums, node.low, node.high, out=sums)
    codes: Codes = sums.astype(np.int16)
    return codes


def _pool(node: Pool, source: Tensor, codes: Codes) -> Codes:
    maximum = node.kind is PoolKind.MAX
    windows = _windows(_pad(codes, node.window, 0 if maximum else source.zero), node.window)
    if maximum:
        largest: Codes = windows.max(axis=(1, 2))
        return largest
    size = node.window.kernel[0] * node.window.kernel[1]
    excess = windows.sum(axis=(1, 2), dtype=np.int64) - size * source.zero
    mean = (excess * node.multiplier + half(node.shift)) >> node.shift
    clamped = mean.clip(-source.zero, source.form.high - source.zero)
    return np.asarray(clamped + source.zero, np.int16)


def _pad(values: npt.NDArray[Any], window: Window, value: int) -> npt.NDArray[Any]:
    top, left, bottom, right = window.pad
    return np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(padded: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
    """Return a view (channel, window row, window column, image, y, x) of (channel, image, y, x)."""
    view = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(2, 3))
    return view[:, :, :: window.stride, :: window.stride].transpose(0, 4, 5, 1, 2, 3)

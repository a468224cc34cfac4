# SPDX-License-Identifier: Apache-2.0
"""Layers as the engine gets them and what it must store, written out from the documents.

The values follow docs/numerics.md, the layouts docs/machine.md; neither the compiler nor the golden
model has a part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from raw_sums import step_excess, zero_sums
from stored_tensors import Bytes, region, stored_pixels
from stored_weights import PACKING, Stored, pack, weight_words

from tritone.spec.catalog import codebook
from tritone.spec.isa import PASS_STEP, Adaptation, MemoryId, Opcode, PoolMode, parameter_record
from tritone.spec.machine import MachineConfig, RequantizerKind

__all__ = ["Bytes", "Gain", "Job", "Layer", "Shortcut", "job"]

Integers = npt.NDArray[np.int64]
Fields = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """A tensor that the first ``channels`` output channels add; drawn from the layer's seed."""

    channels: int
    stride: int = 1
    zero: int = 0
    in_place: bool = False  # the results replace it


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The beta that a layer reads with, which another one has put into the register."""

    beta: int
    register: int
    adapted: bool
    headroom: int = 1


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer by its meaning; tensors are drawn from the seed."""

    channels: tuple[int, int]  # in, out
    size: tuple[int, int]  # of the input: height, width
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    zero: int = 0
    codebook: str = "post4"
    bits: int = 4
    pad_code: int = 0
    wide: bool = False
    pool: PoolMode | None = None
    in_group: int = 0
    out_group: int | None = None  # the other one
    shortcut: Shortcut | None = None
    drain_each_walk: bool = False
    gain: Gain | None = None
    makes_beta: tuple[int, int] | None = None  # beta, register: of channel 0, one output pixel
    groups: int = 1  # of channels
    reach: tuple[int, int] | None = None  # words of a walk, output groups of a turn; None: all
    stored: Stored = ()  # of each pass, if any is packed
    seed: int = 0

    @property
    def out_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        top, left, bottom, right = self.pad
        return (
            (self.size[0] + top + bottom - self.kernel[0]) // self.stride + 1,
            (self.size[1] + left + right - self.kernel[1]) // self.stride + 1,
        )


@dataclass(frozen=True, kw_only=True)
class Work:
    """What tells convolutions from pools: values v (channel, y, x) and how they come about."""

    values: Integers
    bias: Integers  # B of each channel
    steps: list[Fields]
    weights: list[int]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the engine is given, and what it must store."""

    fields: Fields
    memories: dict[MemoryId, list[int]]
    input: Bytes
    output: Bytes


def read_shift(layer: Layer) -> int:
    """Return r of the reader of a convolution."""
    return 8 - layer.bits - (layer.gain.headroom if layer.gain else 0)


def _adaptation(layer: Layer) -> tuple[int, int]:
    """Return what the layer has to do with an adaptive step, and the register."""
    if layer.makes_beta is not None:
        return Adaptation.BETA, layer.makes_beta[1]
    if layer.gain is not None:
        return (Adaptation.STEP, Adaptation.ADAPTED)[layer.gain.adapted], layer.gain.register
    return Adaptation.NONE, 0


def _windows(layer: Layer, tensor: Integers, padding: int) -> Iterator[tuple[int, int, Integers]]:
    """Yield (ky, kx, the input pixel that each output pixel meets there)."""
    top, left, bottom, right = layer.pad
    padded = np.pad(tensor, ((0, 0), (top, bottom), (left, right)), constant_values=padding)
    height, width = layer.out_size
    for ky in range(layer.kernel[0]):
        for kx in range(layer.kernel[1]):
            rows = slice(ky, ky + (height - 1) * layer.stride + 1, layer.stride)
            columns = slice(kx, kx + (width - 1) * layer.stride + 1, layer.stride)
            yield ky, kx, padded[:, rows, columns]


def _reach(layer: Layer, shape: MachineConfig) -> tuple[int, int]:
    """Return the input channel words of a walk, and the output groups that have them in turn."""
    if layer.pool is not None:
        return 1, shape.word_columns
    words, groups = -(-layer.channels[0] // shape.rows), -(-layer.channels[1] // shape.columns)
    return layer.reach or (words, groups)


def _convolution(
    layer: Layer, shape: MachineConfig, rng: np.random.Generator, u: Integers, turned: Integers
) -> Work:
    book = codebook(layer.codebook)
    # What the rails count in v, for each channel.
    even_unit, odd_unit = np.where(turned, 181, 128), np.where(turned, 256, 181)
    inputs, outputs = (each // layer.groups for each in layer.channels)
    codes = rng.choice(book.codes, (layer.channels[1], inputs, *layer.kernel))
    evens = np.vectorize(lambda code: book.level(int(code)).even)(codes).astype(np.int64)
    odds = np.vectorize(lambda code: book.level(int(code)).odd)(codes).astype(np.int64)
    scaled = (evens.T * even_unit + odds.T * odd_unit).T
    r = read_shift(layer)
    zero = layer.zero >> r
    rounded = zero + ((u - layer.zero + (1 << r >> 1)) >> r)
    if layer.gain is not None:
        # 2^18 / beta, rounded half up.
        factor = (2 * 2**18 + layer.gain.beta) // (2 * layer.gain.beta)
        rounded = (u * factor + (1 << r + 7)) >> r + 8
    a = np.clip(rounded, 0, (1 << layer.bits) - 1)
    values = np.zeros((layer.channels[1], *layer.out_size), np.int64)
    for ky, kx, pixels in _windows(layer, a, layer.pad_code):
        for group in range(layer.groups):
            made = slice(group * outputs, (group + 1) * outputs)
            met = pixels[group * inputs : (group + 1) * inputs] - zero
            values[made] += np.einsum("oi,iyx->oyx", scaled[made, :, ky, kx], met)

    plan = book.plan(shape.array)
    passes, length = plan.passes, _reach(layer, shape)[0] * layer.kernel[0] * layer.kernel[1]
    nibbles = 1 if layer.bits <= 4 else 2
    walks = sorted(
        ((each.shift + 4 * nibble) // 4, index, nibble)
        for index, each in enumerate(passes)
        for nibble in range(nibbles)
    )
    bias = -zero * scaled.sum((1, 2, 3))
    steps = []
    for position, (shift, index, nibble) in enumerate(walks):
        final = position + 1 == len(walks) or walks[position + 1][0] != shift
        steps.append(
            {
                "plane": index,
                "nibble": nibble,
                "shift": shift,
                "drain": final or layer.drain_each_walk,
                "packing": PACKING[layer.stored[index][0]] if layer.stored else 0,
            }
        )
        # What raw sums have too much.
        bias -= even_unit * step_excess(shape) * length << 4 * shift
        for raw, unit in zip(zero_sums(plan, index), (even_unit, odd_unit), strict=True):
            bias -= unit * raw[codes].sum((1, 2, 3)) << 4 * shift
    return Work(
        values=values,
        bias=bias,
        steps=steps,
        weights=weight_words(shape, book, codes, layer.groups, _reach(layer, shape)),
    )


def _pool(layer: Layer, u: Integers) -> Work:
    summing = layer.pool is PoolMode.SUM
    padding = layer.zero if summing else 0
    met = [pixels for _, _, pixels in _windows(layer, u, padding)]
    bias = -128 * layer.zero * len(met) if summing else 0
    found = np.sum(met, 0) if summing else np.maximum.reduce(met)
    return Work(
        values=128 * found + bias,
        bias=np.full(layer.channels[1], bias),
        steps=[{"plane": 0, "nibble": 0, "shift": 0, "drain": 1, "packing": 0}],
        weights=[],
    )


def _scale(
    layer: Layer, rng: np.random.Generator, values: Integers, limits: tuple[int, int], half: bool
) -> tuple[Integers, Integers, Integers]:
    """Return M, D and S that spread the results over a little more than the limits."""
    channels = layer.channels[1]
    if half:
        spread = [int(each).bit_length() for each in np.abs(values).max(axis=(1, 2))]
        more = rng.integers(0, 2, channels) - (16 if layer.wide else 8)
        shifts = (spread + more).clip(0)
        return np.ones(channels, np.int64), rng.integers(*limits, channels) << shifts, shifts
    if layer.pool is None:
        bits = 16 if layer.wide else 8
        largest = max(1, int(np.abs(values).max()))
        shift = min(40, max(0, (largest << 15).bit_length() - bits))
        top = 1 << (14 if layer.gain and layer.gain.adapted else 15)
        multiplier = rng.integers(-top, top, channels)
        offset = rng.integers(*limits, channels) << shift
        if layer.makes_beta is not None:
            offset[0] = (layer.makes_beta[0] << shift) - int(values[0, 0, 0]) * int(multiplier[0])
        return multiplier, offset, np.full(channels, shift)
    window, mean = layer.kernel[0] * layer.kernel[1], layer.pool is PoolMode.SUM
    shift = 7 + 8
    offset = ((layer.zero if mean else 0) << shift) + (1 << shift >> 1)
    multiplier = np.full(channels, round((1 << 8) / (window if mean else 1)))
    return multiplier, np.full(channels, offset), np.full(channels, shift)


def _shortcut(
    layer: Layer,
    shape: MachineConfig,
    rng: np.random.Generator,
    shifts: Integers,
    group: int,
    out: Fields,
) -> tuple[Integers, Fields, Bytes]:
    """Return what is added to the sums (channel, y, x), the fields that say so, and the tensor."""
    half, shift = shape.requantizer is RequantizerKind.HALF_OCTAVE, int(shifts[0])
    names = "groups base row_words plane_words stride zero multiplier shift"
    blank = {f"shortcut_{name}": int(rng.integers(0, 2)) for name in names.split()}
    if layer.shortcut is None:
        blank |= {"shortcut_groups": 0, "shift": 0 if half else shift}
        return np.zeros((0, 1, 1), np.int64), blank, {}
    wanted = layer.shortcut
    height, width = ((size - 1) * wanted.stride + 1 for size in layer.out_size)
    if wanted.stride == 2:
        height, width = height + int(rng.integers(2)), width + int(rng.integers(2))
    k = rng.integers(0, 256, (wanted.channels, height, width), dtype=np.int64)
    t = int(rng.integers(max(0, shift - 15), max(0, shift - 9) + 1))
    factor = int(rng.choice([-1, 1]) * rng.uniform(0.2, 0.9) * 2.0 ** (shift - t))
    # With half octaves t and d are e and 0 or 0 and -e, of each channel's S, and K is not read.
    octave = int(rng.integers(-min(2, int(shifts.min())), 2))
    up = shifts + octave if half else np.full_like(shifts, t)
    groups = -(-wanted.channels // shape.columns)
    added = np.zeros((groups * shape.columns, *layer.out_size), np.int64)
    added[: wanted.channels] = k[:, :: wanted.stride, :: wanted.stride] - wanted.zero
    row_words = -(-width // shape.banks)
    base = out["out_base"]
    if not wanted.in_place:
        base += -(-layer.channels[1] // shape.rows) * out["out_plane_words"] + int(rng.integers(3))
    # Lanes behind its last channel are the zero that nothing is added for.
    filled = np.full((groups * shape.columns, height, width), wanted.zero, np.int64)
    filled[: wanted.channels] = k
    fields = {
        "shortcut_groups": groups,
        "shortcut_base": base,
        "shortcut_row_words": row_words,
        "shortcut_plane_words": height * row_words,
        "shortcut_stride": wanted.stride - 1,
        "shortcut_zero": wanted.zero,
        "shortcut_multiplier": factor,
        "shortcut_shift": max(octave, 0) if half else t,
        "shift": max(-octave, 0) if half else shift,
    }
    factors = (1 if half else factor) << up[: len(added)]
    return added * factors[:, None, None], fields, region(filled, shape, group, base)


def job(layer: Layer, shape: MachineConfig) -> Job:
    """Return the layer laid out for a machine, at random places of its memories."""
    rng = np.random.default_rng([layer.seed, shape.pixels])
    u = rng.integers(0, 256, (layer.channels[0], *layer.size), dtype=np.int64)
    half = shape.requantizer is RequantizerKind.HALF_OCTAVE
    turned = rng.integers(0, 2 if half and layer.pool is None else 1, layer.channels[1])
    work = _pool(layer, u) if layer.pool is not None else _convolution(layer, shape, rng, u, turned)
    limits = (-(1 << 15), (1 << 15) - 1) if layer.wide else (3, 250)
    multiplier, offset, shifts = _scale(layer, rng, work.values, limits, half)

    groups = -(-layer.channels[1] // shape.columns)
    unused = groups * shape.columns - layer.channels[1]
    multiplier = np.concatenate([multiplier, np.zeros(unused, np.int64)])
    shifts = np.concatenate([shifts, np.full(unused, 31 if half else int(shifts[0]))])
    turned = np.concatenate([turned, np.zeros(unused, np.int64)])
    behind = (rng.integers(*limits, unused) << shifts[layer.channels[1] :]) + half * (1 << 30)
    offset = np.concatenate([offset, behind])
    bias = np.concatenate([work.bias, np.zeros(unused, np.int64)])
    values = np.concatenate([work.values, np.zeros((unused, *layer.out_size), np.int64)])
    stored_width = layer.out_size[1] * (1 + layer.wide)
    out_row_words = -(-stored_width // shape.banks)
    in_base, out_base, weight_base, parameter_base = map(int, rng.integers(0, 4, 4))
    place = {"out_base": out_base, "out_plane_words": layer.out_size[0] * out_row_words}
    out_group = 1 - layer.in_group if layer.out_group is None else layer.out_group
    if out_group == layer.in_group:
        in_words = -(-layer.channels[0] // shape.rows) * layer.size[0]
        place["out_base"] += in_base + in_words * -(-layer.size[1] // shape.banks)
    added, shortcut, tensor = _shortcut(layer, shape, rng, shifts, out_group, place)
    factor = multiplier
    if layer.gain is not None and layer.gain.adapted:
        factor = (multiplier * layer.gain.beta + 512) // 1024
    scaled = values * factor[:, None, None] + offset[:, None, None]
    scaled[: len(added)] += added
    results = np.clip(scaled >> shifts[:, None, None], *limits)
    assert layer.makes_beta is None or results[0].tolist() == [[layer.makes_beta[0]]]
    assert layer.pool is not None or len(np.unique(results)) > min(4, results.size // 2), "dull"

    own = {"turned": turned, "shift": shifts - shortcut["shift"]}
    columns = {"bias": bias, "offset": offset} | (own if half else {"multiplier": multiplier})
    form = parameter_record(shape)
    records = [
        form.pack({name: int(values[channel]) for name, values in columns.items()})
        for channel in range(len(bias))
    ]
    slot = shape.slot_channels
    parameters = [
        sum(record << form.bits * n for n, record in enumerate(records[first : first + slot]))
        for first in range(0, len(records), slot)
    ]

    stored = stored_pixels(results, layer.wide)
    height, width = layer.out_size
    in_row_words, row_words = (-(-size // shape.banks) for size in (layer.size[1], stored.shape[2]))
    channel_words, turn = _reach(layer, shape)
    walk = layer.kernel[0] * layer.kernel[1] * channel_words
    r = read_shift(layer) if layer.pool is None else 0
    nibbles = ((4, ()),) * (1 + max(step["plane"] for step in work.steps))
    weights, terms, filled = pack(work.weights, layer.stored or nibbles, walk, shape)
    fields = {
        "opcode": Opcode.CONVOLVE if layer.pool is None else Opcode.POOL,
        **dict.fromkeys(("wait_load", "wait_store", "wait_layer", "reserved"), 0),
        "in_group": layer.in_group,
        "in_base": in_base,
        "in_width": layer.size[1],
        "in_height": layer.size[0],
        "in_row_words": in_row_words,
        "in_plane_words": layer.size[0] * in_row_words,
        "in_channels": channel_words,
        "out_base": place["out_base"],
        "out_width": width,
        "out_height": height,
        "out_row_words": row_words,
        "out_plane_words": height * row_words,
        "out_channels": groups,
        "in_turn": turn,
        "stored_rows": -(-layer.channels[1] // shape.rows) * height,
        "kernel_height": layer.kernel[0],
        "kernel_width": layer.kernel[1],
        "stride": layer.stride,
        "pad_top": layer.pad[0],
        "pad_left": layer.pad[1],
        "read_shift": r,
        "read_zero": layer.zero,
        "read_offset": layer.zero >> r,
        "read_max": (1 << layer.bits) - 1 if layer.pool is None else 255,
        "pad_code": {None: layer.pad_code, PoolMode.MAX: 0, PoolMode.SUM: layer.zero}[layer.pool],
        "weight_base": weight_base,
        "plane_words": len(weights[0]),
        "group_words": filled,
        "pass_steps": len(work.steps),
        "steps": sum(PASS_STEP.pack(step) << 8 * n for n, step in enumerate(work.steps)),
        "parameter_base": parameter_base,
        "low": limits[0],
        "high": limits[1],
        "wide": layer.wide,
        "pool_mode": layer.pool or 0,
        "out_group": out_group,
        **dict(zip(("adaptation", "beta_register"), _adaptation(layer), strict=True)),
        "terms": layer.seed % 16,
        **shortcut,
    }
    return Job(
        fields=fields,
        memories={
            MemoryId.WEIGHT: [0] * weight_base + [word for plane in weights for word in plane],
            MemoryId.PARAMETER: [0] * parameter_base + parameters,
        }
        | ({MemoryId.TERMS: [0] * fields["terms"] + [terms]} if layer.stored else {}),
        input=region(u, shape, layer.in_group, in_base) | tensor,
        output=region(stored, shape, out_group, place["out_base"]),
    )

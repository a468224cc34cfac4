# SPDX-License-Identifier: Apache-2.0
"""Nodes become sums and constants that mean the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fine_networks import to_fine

from tritone.compiler import compile_network
from tritone.compiler.fold import Added, Layer, fold
from tritone.graph import Convolution, Gain, Network, PoolKind, Shortcut
from tritone.spec.isa import Adaptation, Opcode, PoolMode
from tritone.spec.machine import RequantizerKind, preset


def _requantized(layer: Layer, total: int) -> int:
    """What the requantiser makes of the even sum ``total``."""
    v = 128 * total + int(layer.bias[0])
    y = (v * int(layer.multiplier[0]) + int(layer.offset[0])) // 2**layer.shift
    return sorted((layer.low, y, layer.high))[1]


def test_strides_of_shortcuts(random_network: Callable[..., Network], spec: Any) -> None:
    """1 and 2, or any where there is one pixel; else the layer and a remedy are named."""
    for size, stride, expected in ((5, 1, 1), (5, 2, 2), (3, 5, 1)):
        pixels = (size - 1) // stride + 1
        own = spec(out=2, kernel=(size - pixels + 1, size - pixels + 1))
        network = random_network((2, size, size), [own])
        shortcut = Shortcut(tensor="input", multiplier=-5, shift=3, stride=stride)
        nodes = (replace(network.nodes[0], shortcut=shortcut),)
        (layer,) = fold(replace(network, nodes=nodes))
        assert layer.shortcut == Added(
            tensor=network.tensors["input"], stride=expected, multiplier=-5, shift=3
        )
    network = random_network((2, 7, 7), [spec(out=2, kernel=(5, 5))])
    shortcut = Shortcut(tensor="input", multiplier=1, shift=0, stride=3)
    message = (
        r"^Layer layer0 must add input with a stride of 1 or 2, not 3; a pool in front of it can "
        r"take the rest$"
    )
    with pytest.raises(ValueError, match=message):
        fold(replace(network, nodes=(replace(network.nodes[0], shortcut=shortcut),)))


HALF = RequantizerKind.HALF_OCTAVE


def test_scales_must_be_those_of_the_machine(
    spec: Any, random_network: Callable[..., Network], half_octaves: Callable[..., Network]
) -> None:
    """Multipliers and half octaves are refused by machines of the other kind, with the remedy."""
    network = random_network((2, 5, 5), [spec(out=3)])
    message = (
        r"^Layer layer0 must be scaled by half octaves, not by 16-bit multipliers: the machine has "
        r"none; train with multipliers = half_octave, or choose a machine with requantizer = "
        r"multiplier$"
    )
    with pytest.raises(ValueError, match=message):
        compile_network(network, preset("tiny_half"))
    message = (
        r"^Layer layer0 must be scaled by 16-bit multipliers, not by half octaves, whose rails the "
        r"machine cannot turn; choose one with requantizer = half_octave, or train with "
        r"multipliers = integer$"
    )
    with pytest.raises(ValueError, match=message):
        compile_network(half_octaves(network), preset("tiny"))


def test_averages_without_multipliers(random_network: Callable[..., Network], spec: Any) -> None:
    """A power of two moves into the shift, exactly; another window is refused by its layer."""
    pool = spec(kernel=(2, 2), kind=PoolKind.AVERAGE)
    network = random_network((3, 4, 4), [pool], zero=5)
    (plain,), (half,) = fold(network), fold(network, HALF)
    assert half.octaves is not None
    assert (half.octaves.shifts == 7 + 2).all()
    assert (half.multiplier == 1).all()
    for total in range(-4 * 5, 4 * 255):
        v = 128 * total + int(half.bias[0])
        y = (v + int(half.offset[0])) >> int(half.octaves.shifts[0])
        assert min(max(y, half.low), half.high) == _requantized(plain, total)
    network = random_network((3, 4, 4), [spec(kernel=(3, 3), kind=PoolKind.AVERAGE)])
    message = (
        r"^Layer layer0 must average a power of two of pixels, not scale their sum by "
        r"1820/2\*\*14: the machine has no multiplier; pool another window, or choose a machine "
        r"with requantizer = multiplier$"
    )
    with pytest.raises(ValueError, match=message):
        fold(network, HALF)


def test_adaptive_steps(random_adaptive: Callable[[int], Network]) -> None:
    """The layer that makes the beta and the one that reads with it, at its own shift."""
    for seed in range(8):
        network = random_adaptive(seed)
        layers = {layer.name: layer for layer in fold(network)}
        reader = network.nodes[-1]
        assert isinstance(reader, Convolution)
        assert reader.gain is not None
        assert layers["result"].gain == reader.gain
        assert layers["result"].read_shift == 8 - reader.bits - reader.gain.headroom
        adaptations = {name: layer.adaptation for name, layer in layers.items()}
        rule = Adaptation.ADAPTED if reader.gain.adapted else Adaptation.STEP
        assert adaptations.pop("result") is rule
        assert adaptations.pop("beta") is Adaptation.BETA
        assert set(adaptations.values()) == {Adaptation.NONE}


def test_a_beta_of_a_beta_is_refused(random_adaptive: Callable[[int], Network]) -> None:
    """A layer has one register: it cannot read with a beta and make one."""
    network = random_adaptive(0)
    *others, result = network.nodes
    assert isinstance(result, Convolution)
    assert isinstance(others[-1], Convolution)
    gain = Gain(tensor="beta", adapted=False, headroom=0)
    again = replace(others[-1], name="again", output="again", gain=gain, pad_code=0)
    reader = replace(result, gain=replace(gain, tensor="again", headroom=1), bits=4)
    tensors = {**network.tensors, "again": replace(network.tensors["beta"], name="again")}
    message = (
        r"^Layer again must make its beta from what it reads with a fixed step, not with the "
        r"adaptive one of beta$"
    )
    with pytest.raises(ValueError, match=message):
        fold(replace(network, nodes=(*others, again, reader), tensors=tensors))


@pytest.mark.parametrize("shift", [0, 1, 2, 7, 14, 20])
@pytest.mark.parametrize("zero", [0, 1, 128, 255])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 5)])
def test_an_average_is_the_one_of_the_contract(
    kernel: tuple[int, int],
    zero: int,
    shift: int,
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """For every sum of n codes: clamp(((sum - n z) Mp + half(Sp)) >> Sp, -z, 255 - z) + z."""
    network = random_network((1, 5, 5), [spec(kind=PoolKind.AVERAGE, kernel=kernel)], zero=zero)
    n = kernel[0] * kernel[1]
    for multiplier in {1, 2, min(round(2**shift / n), 32767), 32767}:
        node = replace(network.nodes[0], multiplier=multiplier, shift=shift)
        (layer,) = fold(replace(network, nodes=(node,)))
        assert (layer.opcode, layer.pool_mode, layer.pad_code) == (Opcode.POOL, PoolMode.SUM, zero)
        for total in range(255 * n + 1):
            # Python's // floors; half(0) is 0.
            mean = ((total - n * zero) * multiplier + 2**shift // 2) // 2**shift
            expected = sorted((-zero, mean, 255 - zero))[1] + zero
            assert _requantized(layer, total) == expected


def test_a_maximum_stays_what_it_is(spec: Any, random_network: Callable[..., Network]) -> None:
    """Every code, padded with code 0."""
    network = random_network((3, 4, 4), [spec(kind=PoolKind.MAX, kernel=(2, 2))])
    (layer,) = fold(network)
    assert (layer.opcode, layer.pool_mode, layer.pad_code) == (Opcode.POOL, PoolMode.MAX, 0)
    assert [_requantized(layer, code) for code in range(256)] == list(range(256))


def test_a_single_output_pixel_needs_no_stride(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """A global pool with the stride of its window is run with stride 1."""
    network = random_network((1, 6, 6), [spec(kind=PoolKind.AVERAGE, kernel=(6, 6), stride=6)])
    assert fold(network)[0].window.stride == 1


def _with_node(network: Network, **changes: Any) -> Network:
    return replace(network, nodes=(replace(network.nodes[0], **changes),))


def test_what_no_machine_has_is_refused(spec: Any, random_network: Callable[..., Network]) -> None:
    """Strides, widths, sums and constants out of range, by name."""
    network = random_network((1, 9, 9), [spec(out=2, stride=3)])
    with pytest.raises(ValueError, match=r"^Layer layer0 must have a stride of 1 or 2, not 3$"):
        fold(network)
    specs = [spec(out=2, kernel=(2, 2)), spec(out=3, kernel=(2, 2), wide=True)]
    network = to_fine(random_network((1, 4, 4), specs))
    message = (
        r"^Tensor tensor0 must have 8-bit codes, not 12-bit ones: machines keep a byte of each; "
        r"train with stream_bits = 8$"
    )
    for machine in (preset("tiny"), preset("tiny-asq")):
        with pytest.raises(ValueError, match=message):
            compile_network(network, machine)
    network = random_network((1, 4, 4), [spec(kind=PoolKind.AVERAGE, kernel=(2, 2))])
    with pytest.raises(ValueError, match=r"^Layer layer0 must have D in 48 signed bits, not \d+"):
        fold(_with_node(network, shift=33))


@pytest.mark.parametrize(
    ("code", "zero", "bounds"),
    [
        (0x77, 0, (0, 119)),
        (0x99, 0, (-119, 0)),
        (0x77, 255, (-119, 0)),
        (0x99, 255, (0, 119)),
    ],
)
def test_sums_have_36_bits(
    code: int,
    zero: int,
    bounds: tuple[int, int],
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """8846 taps of +-119 * 128 * 255 stay below 2**35; one more does not."""
    layer = spec(out=1, kernel=(1, 1), codebook="int8", bits=8)
    for taps in (8846, 8847):
        network = random_network((taps, 1, 1), [layer], zero=zero)
        network.nodes[0].codes[...] = code
        low, high = (bound * 128 * 255 * taps for bound in bounds)
        if low >= -(1 << 35) and high < 1 << 35:
            fold(network)
            assert taps == 8846
            continue
        with pytest.raises(
            ValueError,
            match=rf"^Layer layer0 must have sums in 36 signed bits, not {low}\.\.{high}$",
        ):
            fold(network)
        assert taps == 8847


def test_the_output_is_made_last(spec: Any, random_network: Callable[..., Network]) -> None:
    """STORE takes the last tensor."""
    network = random_network((1, 4, 4), [spec(out=2), spec(out=2, kernel=(1, 1))])
    with pytest.raises(
        ValueError, match=r"^Network random must end with the layer that makes tensor0$"
    ):
        fold(replace(network, output="tensor0"))


def test_macs_are_useful_ones(spec: Any, random_network: Callable[..., Network]) -> None:
    """Weights times output pixels; pools have none."""
    network = random_network(
        (3, 6, 6), [spec(out=5, kernel=(3, 2)), spec(kind=PoolKind.MAX, kernel=(2, 2))]
    )
    assert [layer.macs for layer in fold(network)] == [5 * 3 * 3 * 2 * 4 * 5, 0]
    assert isinstance(fold(network)[0].bias, np.ndarray)

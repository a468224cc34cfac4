# SPDX-License-Identifier: Apache-2.0
"""A first layer whose windows are written by the LOAD of the image.

An image of few channels fills few rows of the array. Written as windows, its 9 pixels become the
channels of one, and a 3x3 convolution becomes one of 1x1 over ``9 * channels`` channels, which
takes fewer steps. Lanes behind these channels hold zeros and meet weights that are zero.

Padding enters as bytes of the image, before the reader instead of behind it. That is the same for
any pad code where the reader takes 8 bits: r = 0, z_a = z, so a = clamp(z + (u - z), 0, 255) = u.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tritone.compiler.fold import Layer
from tritone.graph import Tensor, Window
from tritone.spec.isa import MAX_WINDOW_CHANNELS, WINDOW_KERNEL
from tritone.spec.machine import MachineConfig

__all__ = ["Windows", "gather"]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """What LOAD gathers.

    Parameters
    ----------
    image : the tensor in external memory.
    stride, pad_top, pad_left, pad_code : of the layer that reads it.
    across, down : columns and rows with padding, as far as windows or pixels reach.
    """

    image: Tensor
    stride: int
    pad_top: int
    pad_left: int
    pad_code: int
    across: int
    down: int


def gather(layers: Sequence[Layer], machine: MachineConfig) -> tuple[Windows, list[Layer]] | None:
    """Return the windows of the image and ``layers`` with a first one that reads them.

    None where that is not possible or gains nothing.
    """
    first = layers[0]
    image, weights = first.input, first.weights
    channels, height, width = image.shape
    if (
        weights is None
        or weights.groups > 1
        or first.window.kernel != (WINDOW_KERNEL, WINDOW_KERNEL)
        or first.read_shift
        or channels > MAX_WINDOW_CHANNELS
        or any(each.input.name == image.name for each in layers[1:])
        or any(each.shortcut and each.shortcut.tensor.name == image.name for each in layers)
    ):
        return None
    _, out_height, out_width = first.output.shape
    top, left, _, _ = first.window.pad
    stride = first.window.stride
    across, down = (
        max(stride * (outputs - 1) + WINDOW_KERNEL, pad + size)
        for outputs, pad, size in ((out_width, left, width), (out_height, top, height))
    )
    taps = WINDOW_KERNEL * WINDOW_KERNEL
    # A step takes R channels; without windows each tap has steps of its own.
    gains = -(-taps * channels // machine.rows) < taps * -(-channels // machine.rows)
    if across > machine.gather_width or not gains:
        return None
    codes = weights.codes.transpose(0, 2, 3, 1).reshape(len(weights.codes), taps * channels, 1, 1)
    windows = Windows(
        image=image,
        stride=stride,
        pad_top=top,
        pad_left=left,
        pad_code=first.pad_code,
        across=across,
        down=down,
    )
    gathered = replace(
        first,
        input=replace(image, shape=(taps * channels, out_height, out_width)),
        weights=replace(weights, codes=codes),
        window=Window(kernel=(1, 1)),
    )
    return windows, [gathered, *layers[1:]]

# SPDX-License-Identifier: Apache-2.0
"""A network compiled for a machine."""

from __future__ import annotations

from tritone.compiler.align import align
from tritone.compiler.allocate import allocate
from tritone.compiler.emit import emit
from tritone.compiler.fold import Layer, fold
from tritone.compiler.gather import Windows, gather
from tritone.compiler.tile import tile
from tritone.graph import Network
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program

__all__ = ["compile_network"]


def compile_network(network: Network, machine: MachineConfig) -> Program:
    """Return the program that runs ``network`` on ``machine``.

    Of these the first that fits: windows of the image are gathered and the next image is loaded
    beside the layers; only gathered; only beside; neither; and with tensors outside, that are
    loaded and stored in stripes, first gathered and then not.

    Raises
    ------
    ValueError : something does not fit; the message names the layer, what it needs and what the
        machine has.
    """
    aligned, orders = align(network)
    plain = fold(aligned, machine.requantizer)
    forms: list[tuple[Windows | None, list[Layer]]] = [(None, plain)]
    gathered = gather(plain, machine)
    if gathered is not None:
        forms.insert(0, gathered)
    refusal: ValueError
    for spill, choices in ((False, (2, 1)), (True, (1,))):
        for windows, layers in forms:
            for images in choices:
                try:
                    tiled = [tile(layer, machine) for layer in layers]
                    places = allocate(tiled, machine, images, windows=windows, spill=spill)
                    return emit(network.name, tiled, places, machine, windows, orders)
                except ValueError as error:
                    refusal = error
    raise refusal

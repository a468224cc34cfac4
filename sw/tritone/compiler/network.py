# SPDX-License-Identifier: Apache-2.0
"""A network compiled for a machine."""

from __future__ import annotations

from tritone.compiler.allocate import allocate
from tritone.compiler.emit import emit
from tritone.compiler.fold import fold
from tritone.compiler.tile import tile
from tritone.graph import Network
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program

__all__ = ["compile_network"]


def compile_network(network: Network, machine: MachineConfig) -> Program:
    """Return the program that runs ``network`` on ``machine``.

    Raises
    ------
    ValueError : something does not fit; the message names the layer, what it needs and what the
        machine has.
    """
    layers = [tile(layer, machine) for layer in fold(network)]
    return emit(network.name, layers, allocate(layers, machine), machine)

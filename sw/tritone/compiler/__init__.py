# SPDX-License-Identifier: Apache-2.0
"""From a network to a program: fold, plan passes, tile, allocate, emit. No framework.

What does not fit the machine is refused with ValueError, naming the layer, what it needs and what
there is.
"""

from __future__ import annotations

from tritone.compiler.cycles import Prediction, predict
from tritone.compiler.description import Description, LayerCost, describe
from tritone.compiler.images import pack_images
from tritone.compiler.network import MemoryNeeds, compile_network, memory_needs

__all__ = [
    "Description",
    "LayerCost",
    "MemoryNeeds",
    "Prediction",
    "compile_network",
    "describe",
    "memory_needs",
    "pack_images",
    "predict",
]

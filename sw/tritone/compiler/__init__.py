# SPDX-License-Identifier: Apache-2.0
"""From a network to a program: fold, plan passes, tile, allocate, emit. No framework.

What does not fit the machine is refused with ValueError, naming the layer, what it needs and what
there is.
"""

from __future__ import annotations

from tritone.compiler.cycles import Prediction, predict
from tritone.compiler.description import Description, LayerCost, describe
from tritone.compiler.images import pack_images
from tritone.compiler.network import compile_network

__all__ = [
    "Description",
    "LayerCost",
    "Prediction",
    "compile_network",
    "describe",
    "pack_images",
    "predict",
]

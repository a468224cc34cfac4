# SPDX-License-Identifier: Apache-2.0
"""The integer network: the contract between training and everything behind it.

No framework, integers only. docs/numerics.md says what the nodes compute.
"""

from tritone.graph.network import FORMAT_VERSION, Network
from tritone.graph.nodes import (
    Convolution,
    Node,
    Pool,
    PoolKind,
    Shortcut,
    Tensor,
    Window,
)

__all__ = [
    "FORMAT_VERSION",
    "Convolution",
    "Network",
    "Node",
    "Pool",
    "PoolKind",
    "Shortcut",
    "Tensor",
    "Window",
]

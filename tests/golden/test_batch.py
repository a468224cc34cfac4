# SPDX-License-Identifier: Apache-2.0
"""Only raw bytes of the right shape are images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tritone.golden.batch import require_images
from tritone.graph import Network


def test_other_arrays_are_refused(spec: Any, random_network: Callable[..., Network]) -> None:
    """Type first, then shape."""
    network = random_network((2, 4, 5), [spec(out=3)])
    require_images(network, np.zeros((7, 2, 4, 5), np.uint8))
    with pytest.raises(TypeError, match=r"^Images must be raw bytes \(uint8\), not float64$"):
        require_images(network, np.zeros((7, 2, 4, 5)))
    for shape in ((2, 4, 5), (7, 2, 5, 4)):
        with pytest.raises(
            ValueError, match=r"^Images must have the shape \(images, \(2, 4, 5\)\), not \(.*\)$"
        ):
            require_images(network, np.zeros(shape, np.uint8))

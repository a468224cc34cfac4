# SPDX-License-Identifier: Apache-2.0
"""What a machine takes of a device and how fast it is there, told in milliseconds.

Cells come from a model that is fitted, when it is asked for, to a table of mapped machines
(``python -m tritone_hw.synthesis.area_sweep``), so there are no coefficients to go stale; the clock
is that of the placed machine nearest in size.
"""

from __future__ import annotations

from tritone.estimate.area_model import AreaModel, Estimate, NotMapped, area_model
from tritone.estimate.clock_class import ClockClass, clock_class

__all__ = ["AreaModel", "ClockClass", "Estimate", "NotMapped", "area_model", "clock_class"]

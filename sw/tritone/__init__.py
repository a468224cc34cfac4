# SPDX-License-Identifier: Apache-2.0
"""Tritone: train networks to powers of sqrt(2), and build the machine that runs them without multipliers."""

__all__ = ["__version__"]

__version__ = "0.1.0"

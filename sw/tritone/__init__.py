# SPDX-License-Identifier: Apache-2.0
"""Tritone: train networks to powers of sqrt(2); build the machine that runs them."""

__all__ = ["__version__"]

__version__ = "0.1.0"

# SPDX-License-Identifier: Apache-2.0
"""How weights are learnt: quantisers, conversion, training, freezing and export.

The only package that imports torch.
"""

# SPDX-License-Identifier: Apache-2.0
"""What the bits mean: codebooks, number formats, instructions, registers and machine shapes.

Standard library only. Every number with a meaning is defined here once; the quantisers, the golden
model, the compiler, the gateware, the C header and the documentation are views of it.
"""

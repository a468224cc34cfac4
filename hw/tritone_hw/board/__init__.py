# SPDX-License-Identifier: Apache-2.0
"""The accelerator on a board: memory on the chip and a host over a serial port."""

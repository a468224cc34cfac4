# SPDX-License-Identifier: Apache-2.0
"""The machine: one Amaranth component for each block of docs/machine.md."""

# SPDX-License-Identifier: Apache-2.0
"""Verilator benches that prove the Verilog equal to the golden machine, value by value."""

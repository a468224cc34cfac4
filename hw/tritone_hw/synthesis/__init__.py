# SPDX-License-Identifier: Apache-2.0
"""From a machine to its area and clock on a device: yosys and nextpnr, driven."""

# SPDX-License-Identifier: Apache-2.0
"""The machine as a block for other people's tools: Vivado, FuseSoC, LiteX, processors."""

# SPDX-License-Identifier: Apache-2.0
"""Full-precision networks, one a file, readable from top to bottom."""

# SPDX-License-Identifier: Apache-2.0
"""Arrays of other 4-bit weights, made with the same care, to measure the machine's against."""

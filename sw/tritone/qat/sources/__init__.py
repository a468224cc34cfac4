# SPDX-License-Identifier: Apache-2.0
"""Where data sets come from: each module turns files of others into a Dataset of bytes."""

# SPDX-License-Identifier: Apache-2.0
"""The host's side of a machine that is there: drivers over its registers and its memory."""

# SPDX-License-Identifier: Apache-2.0
"""Memory of the C library: a training step takes the same again and again.

glibc gives large blocks back to the system when they are freed, and trims its heap; the next step
gets pages that the system has to fill with zeros first. Kept, they cost nothing.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# Of malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3

_NEVER = -1
# Blocks up to there come from the heap: of 1 GiB, or of the 32 MiB that glibc before 2.35 allows.
_LARGEST = (1 << 30, 1 << 25)
_MORE = 1 << 26  # what the heap grows by, beside what is wanted


def keep_freed_memory() -> None:
    """Let this process keep what it frees, from now on; without glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # In this order: each setting ends glibc's own adjustment of the others.
    for size in _LARGEST:
        if mallopt(_M_MMAP_THRESHOLD, size):
            break
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    mallopt(_M_TOP_PAD, _MORE)

# SPDX-License-Identifier: Apache-2.0
"""``python -m tritone.golden PROGRAM IMAGES``: SHA-256 of tensors from bytes alone.

IMAGES holds the images as the machine reads them, one behind the other. The hash of a tensor covers
its dump of every image in order. Prints JSON ``{"tensors": [{"name", "sha256"}]}``; a user's error
is one line and exit code 2.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tritone.golden.machine import GoldenMachine
from tritone.spec.program import Program

__all__ = ["hash_tensors", "main"]


def hash_tensors(program: Program, images: bytes) -> list[dict[str, str]]:
    """Return name and SHA-256 of each tensor's dumps over ``images``, one behind the other."""
    size = program.metadata["image"]["bytes"]
    if not images or len(images) % size:
        raise ValueError(f"Images must be a multiple of {size} bytes, not {len(images)}")
    golden = GoldenMachine(program)
    digests = [hashlib.sha256() for _ in program.metadata["tensors"]]
    for start in range(0, len(images), size):
        following = images[start + size : start + 2 * size] or None
        dumps = golden.execute(images[start : start + size], following).dumps
        for digest, dump in zip(digests, dumps, strict=True):
            digest.update(dump)
    return [
        {"name": entry["name"], "sha256": digest.hexdigest()}
        for entry, digest in zip(program.metadata["tensors"], digests, strict=True)
    ]


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    if len(arguments) != 2:
        print("error: usage: python -m tritone.golden PROGRAM IMAGES", file=sys.stderr)
        return 2
    program, images = (Path(argument) for argument in arguments)
    try:
        tensors = hash_tensors(Program.load(program), images.read_bytes())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"tensors": tensors}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

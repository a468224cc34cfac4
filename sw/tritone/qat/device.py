# SPDX-License-Identifier: Apache-2.0
"""Where a network is trained."""

from __future__ import annotations

import os
from enum import Enum

import torch

__all__ = ["Device", "choose_device", "parse_device"]


class Device(Enum):
    """Kind of processor."""

    AUTO = "auto"  # the accelerator where there is one
    CPU = "cpu"
    CUDA = "cuda"


def parse_device(name: str) -> Device:
    """Return the device of that name."""
    names = [each.value for each in Device]
    if name not in names:
        raise ValueError(f"Device must be one of {', '.join(names)}, not {name!r}")
    return Device(name)


def choose_device(device: Device) -> torch.device:
    """Return the device, made ready to compute float32 as float32, and repeatably.

    Raises
    ------
    ValueError : an accelerator that is not there.
    """
    there = torch.cuda.is_available()
    if device is Device.CPU or (device is Device.AUTO and not there):
        return torch.device("cpu")
    if not there:
        raise ValueError("Device must be cpu or auto, not cuda: torch finds no accelerator")
    # cuBLAS repeats its sums with workspaces of a fixed size only; read when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # TF32 has 10 bits of fraction; sums of codes need float32's 23.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")

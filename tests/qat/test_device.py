# SPDX-License-Identifier: Apache-2.0
"""Devices."""

from __future__ import annotations

import pytest
import torch

from tritone.qat.device import Device, choose_device, parse_device


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """auto takes the accelerator where there is one, and it computes float32 as float32."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(Device.AUTO) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    assert choose_device(Device.CPU) == torch.device("cpu")
    assert torch.backends.cudnn.allow_tf32
    assert choose_device(Device.AUTO) == torch.device("cuda")
    assert not torch.backends.cudnn.allow_tf32


def test_refuses() -> None:
    """A device without a meaning."""
    assert parse_device("cpu") is Device.CPU
    with pytest.raises(ValueError, match=r"^Device must be one of auto, cpu, cuda, not 'tpu'$"):
        parse_device("tpu")

# SPDX-License-Identifier: Apache-2.0
"""Full-precision weights of others: checked, mapped onto a network, their normalisation folded."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tritone.spec.fixed import INPUT_STEP, INPUT_ZERO

__all__ = [
    "Normalization",
    "Pretrained",
    "fold_normalization",
    "load_weights",
    "map_weights",
    "normalized_input",
]

# Under which training scripts keep the weights beside other things.
WRAPPERS = ("state_dict", "model", "net")
PARALLEL_PREFIX = "module."
COUNTER = "num_batches_tracked"  # of batch norm; nothing depends on it


class Normalization(Enum):
    """What a network was trained to read: ``(u / 255 - mean) / std`` of each channel of bytes u."""

    TRITONE = "tritone"  # (u - 128) / 64
    UNIT = "unit"  # u / 255
    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"

    @property
    def constants(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Means and standard deviations, of every channel or of all."""
        match self:
            case Normalization.TRITONE:
                return (INPUT_ZERO / 255,), (1 / (255 * INPUT_STEP),)
            case Normalization.UNIT:
                return (0.0,), (1.0,)
            case Normalization.IMAGENET:
                return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
            case Normalization.CIFAR10:
                return (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """The table ``[pretrained]`` of a recipe.

    Parameters
    ----------
    file : a checkpoint of torch or a .safetensors file.
    sha256 : of the file.
    normalization : what its network reads.
    """

    file: str
    sha256: str
    normalization: Normalization = Normalization.TRITONE

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(
                f"Recipe pretrained sha256 must be 64 hexadecimal digits, not {self.sha256!r}"
            )


def load_weights(pretrained: Pretrained) -> dict[str, Tensor]:
    """Return the tensors of the file by name, without what scripts wrap around them.

    Raises
    ------
    FileNotFoundError : it is missing.
    ValueError : another file, or one without weights.
    """
    path = Path(pretrained.file)
    if not path.is_file():
        raise FileNotFoundError(f"Weights must be in the file {path}, which is not there")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != pretrained.sha256:
        raise ValueError(f"Weights {path} must have the SHA-256 {pretrained.sha256}, not {found}")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load(data)
        except SafetensorError as error:
            raise ValueError(
                f"Weights {path} must be a whole safetensors file, not damaged: {error}"
            ) from error
    content = _unpickled(data, path)
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise ValueError(f"Weights {path} must be a state dict, alone or under {WRAPPERS[0]!r}")
    return {key.removeprefix(PARALLEL_PREFIX): value for key, value in content.items()}


def _unpickled(data: bytes, path: Path) -> Any:
    """Return what torch saved; no code in it is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file that is refused all the same
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle raise whatever they spell
        # torch's own text tells how to run the code.
        found = re.search(r"GLOBAL (\S+)", str(error))
        kind = f"one with an object of {found[1]}" if found else "damaged"
        raise ValueError(
            f"Weights {path} must be a state dict of tensors, made by "
            f"torch.save(model.state_dict(), file), not {kind}"
        ) from error


def map_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put ``weights`` into ``model``: by name where all names agree, else by kind and shape.

    Kind is the last part of a name (weight, bias, running_mean, running_var). Of each kind and
    shape the tensors are taken in their order, so layers may have other names.

    Raises
    ------
    ValueError : a tensor is missing or left over.
    """
    wanted = {key: value for key, value in model.state_dict().items() if not _is_counter(key)}
    given = {key: value for key, value in weights.items() if not _is_counter(key)}
    if set(wanted) == set(given):
        found = given
    else:
        queues: dict[tuple[str, tuple[int, ...]], list[str]] = {}
        for key, value in given.items():
            queues.setdefault(_kind(key, value), []).append(key)
        found = {}
        for key, value in wanted.items():
            queue = queues.get(_kind(key, value))
            if not queue:
                raise ValueError(
                    f"Weights must have a {_kind(key, value)[0]} of shape {tuple(value.shape)} for "
                    f"{key}: they are of another model"
                )
            found[key] = given[queue.pop(0)]
        rest = [key for queue in queues.values() for key in queue]
        if rest:
            raise ValueError(
                f"Weights must all be used, but {rest[0]} of shape {tuple(given[rest[0]].shape)} "
                "is not: they are of another model"
            )
    for key, value in wanted.items():
        if found[key].shape != value.shape:
            raise ValueError(
                f"Weights {key} must have the shape {tuple(value.shape)}, "
                f"not {tuple(found[key].shape)}"
            )
    model.load_state_dict(found, strict=False)


def _is_counter(key: str) -> bool:
    return key.endswith(COUNTER)


def _kind(key: str, value: Tensor) -> tuple[str, tuple[int, ...]]:
    return key.rpartition(".")[2], tuple(value.shape)


def normalized_input(images: Tensor, normalization: Normalization) -> Tensor:
    """Return what the network of the weights reads of raw bytes (N, C, H, W), float32."""
    mean, std = (
        torch.tensor(values, device=images.device).view(-1, 1, 1)
        for values in normalization.constants
    )
    return (images.to(torch.float32) / 255 - mean) / std


@torch.no_grad()
def fold_normalization(model: nn.Module, normalization: Normalization) -> None:
    """Change the first convolution of ``model`` so that it reads ``(u - 128) / 64``.

    ``(u / 255 - mean) / std = gain * x + start``, so its weights take the gain and its bias the
    sum of weights times start. At the border the results differ: zeros that were padded meant the
    mean, and mean u = 128 now.

    Raises
    ------
    ValueError : there is no convolution that the means of the channels can go into.
    """
    if normalization is Normalization.TRITONE:
        return
    layer = next((each for each in model.modules() if isinstance(each, nn.Conv2d)), None)
    if layer is None or (layer.groups > 1 and len(normalization.constants[0]) > 1):
        raise ValueError(
            "Model must begin with a convolution, of one group, for the normalization "
            f"{normalization.value} to go into; train it with tritone's"
        )
    mean, std = (
        torch.tensor(values, device=layer.weight.device).double()
        for values in normalization.constants
    )
    gain = 1 / (255 * INPUT_STEP * std)
    start = (INPUT_ZERO / 255 - mean) / std
    weight = layer.weight.double()  # (out, in, kernel height, kernel width)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.double()
    bias = bias + (weight.sum((2, 3)) * start).sum(1)
    layer.weight.copy_(weight * gain.view(-1, 1, 1))
    layer.bias = nn.Parameter(bias.float())

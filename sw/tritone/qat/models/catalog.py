# SPDX-License-Identifier: Apache-2.0
"""The networks that have a name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from tritone.qat.models.digits import Digits
from tritone.qat.models.mobilenet_v1 import MobileNetV1
from tritone.qat.models.resnet8 import ResNet8
from tritone.qat.models.resnet_cifar import ResNetCifar, Shortcuts
from tritone.qat.models.resnet_imagenet import BasicBlock, Bottleneck, ResNet
from tritone.qat.models.source import ModelSource
from tritone.qat.models.vgg_small import BinaryNet, VggSmall

__all__ = ["MODELS", "build_model"]

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "digits": Digits,
    # 32x32 images
    "resnet20": partial(ResNetCifar, blocks=3),
    "resnet32": partial(ResNetCifar, blocks=5),
    "resnet56": partial(ResNetCifar, blocks=9),
    "resnet20b": partial(ResNetCifar, blocks=3, shortcuts=Shortcuts.CONVOLVED),
    "resnet32b": partial(ResNetCifar, blocks=5, shortcuts=Shortcuts.CONVOLVED),
    "resnet56b": partial(ResNetCifar, blocks=9, shortcuts=Shortcuts.CONVOLVED),
    "resnet8": ResNet8,
    "vgg_small": VggSmall,
    "binarynet": BinaryNet,
    "mobilenet_v1_small": partial(MobileNetV1, small=True),
    "mobilenet_v1_small_025": partial(MobileNetV1, small=True, width=0.25),
    # 224x224 images
    "mobilenet_v1": MobileNetV1,
    "resnet18": partial(ResNet, block=BasicBlock, blocks=(2, 2, 2, 2)),
    "resnet34": partial(ResNet, block=BasicBlock, blocks=(3, 4, 6, 3)),
    "resnet50": partial(ResNet, block=Bottleneck, blocks=(3, 4, 6, 3)),
}


def build_model(
    name: str, channels: int, classes: int, source: ModelSource | None = None
) -> nn.Module:
    """Return a new network for images of ``channels`` channels, with random weights.

    Parameters
    ----------
    source : of a network that is none of these; None: it is one of these.
    """
    if source is not None:
        return source.build(channels, classes)
    if name not in MODELS:
        raise ValueError(f"Model must be one of {', '.join(MODELS)}, or FILE.py:NAME, not {name!r}")
    return MODELS[name](channels, classes)

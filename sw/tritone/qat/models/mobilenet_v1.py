# SPDX-License-Identifier: Apache-2.0
"""MobileNetV1 (Howard et al., arXiv 1704.04861): depthwise 3x3 and pointwise 1x1 convolutions."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["MobileNetV1"]

# Output channels and stride of each pair of convolutions, for 224x224 images.
PAIRS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def _unit(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> list[nn.Module]:
    return [
        nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class MobileNetV1(nn.Module):
    """A convolution, 13 pairs, average pool, linear layer.

    Parameters
    ----------
    channels : of the image.
    classes : logits.
    small : for 32x32 images: the first two halvings are left out.
    width : multiplier of all channels but the image's, section 3.3.
    """

    def __init__(
        self, channels: int, classes: int, small: bool = False, width: float = 1.0
    ) -> None:
        super().__init__()
        inputs, halvings = int(32 * width), 0
        layers = _unit(channels, inputs, 3, 1 if small else 2, 1)
        for full, stride in PAIRS:
            outputs = int(full * width)
            halvings += stride == 2
            kept = 1 if small and halvings == 1 else stride
            layers += _unit(inputs, inputs, 3, kept, inputs)
            layers += _unit(inputs, outputs, 1, 1, 1)
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, H, W), H and W multiples of 32."""
        return self.linear(self.pool(self.features(x)).flatten(1))

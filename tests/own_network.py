# SPDX-License-Identifier: Apache-2.0
"""A user's network, as text, and a recipe of few epochs for it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NETWORK", "RECIPE", "write_recipe"]

NETWORK = '''
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Widths:
    """Whose annotations are looked up in the module."""

    first: int = 8
    second: int = 12


class MyNet(nn.Module):
    def __init__(self, channels: int, classes: int, widths: Widths = Widths()) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths.first, 3, padding=1)
        self.conv2 = nn.Conv2d(widths.first, widths.second, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(16 * widths.second, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(x))  # (N, 8, 8, 8)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)  # (N, 12, 4, 4)
        return self.linear(self.dropout(x.flatten(1)))
'''

RECIPE = """
name = "mine"
dataset = "digits"
model = "nets/my_net.py:MyNet"
seed = 0
batch = 128
optimizer = "adamw"

[precision]
weights = "post4"
act_bits = 4

[pretrain]
epochs = 1
learning_rate = 0.004

[finetune]
epochs = 1
learning_rate = 0.001
quantizer_learning_rate = 0.001
"""


def write_recipe(folder: Path, epochs: int = 1) -> Path:
    """Write ``nets/my_net.py`` and ``mine.toml``, with so many epochs a stage, into ``folder``."""
    (folder / "nets").mkdir(parents=True)
    (folder / "nets" / "my_net.py").write_text(NETWORK)
    path = folder / "mine.toml"
    path.write_text(RECIPE.replace("epochs = 1", f"epochs = {epochs}"))
    return path

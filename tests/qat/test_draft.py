# SPDX-License-Identifier: Apache-2.0
"""What a traced module computes, and what is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from branches import Branches
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.draft import draft

SHAPE = (1, 8, 8)


class Branching(nn.Module):
    """The pool leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.pool = nn.MaxPool2d(3)
        self.last = nn.Conv2d(4, 2, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        self.pool(x)
        return self.last(x)


def test_depth_decides_which_operand_takes_the_add() -> None:
    """Two convolutions added, in either order: the branch of fewer layers is the shortcut."""

    class Two(nn.Module):
        def __init__(self, swap: bool) -> None:
            super().__init__()
            self.swap = swap
            self.one, self.two, self.side = (nn.Conv2d(1, 1, 1) for _ in range(3))
            self.end = nn.Conv2d(1, 1, 8)

        def forward(self, x: Tensor) -> Tensor:
            long, short = self.two(functional.relu(self.one(x))), self.side(x)
            return self.end(torch.add(short, long) if self.swap else long + short)

    for swap in (False, True):
        found = draft(Two(swap), SHAPE)
        shortcut = found.layers["two"].shortcut
        assert shortcut is not None
        assert shortcut.tensor == "side"
        assert found.layers["side"].shortcut is None


def test_tensors_behind_pools_keep_their_quantiser() -> None:
    """A pool's origin is the layer before it; edges read the image or make the logits."""
    found = draft(Branches(), (2, 9, 9))
    assert found.origin("pool") == "last"
    assert {name for name, part in found.layers.items() if found.is_edge(part)} == {
        "first",
        "logits",
    }


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class TwoOutputs(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Named(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": x}


class Small(nn.Module):
    """A convolution that keeps the shape, for the networks below."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 1)
        self.norm = nn.BatchNorm2d(1)


class Multiply(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * x


class AddNothing(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + 1


class AddTwice(Small):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv(x))
        return x + x


class AddShapes(Small):
    def __init__(self) -> None:
        super().__init__(channels=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x


class NormBehindAdd(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x) + x)


class SliceRead(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x[:, :, ::2, ::2])


class SliceRows(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x[:, :, ::2]


class PadPixels(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (1, 1, 1, 1)))


class PadOnes(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + functional.pad(x, (0, 0, 0, 0, 0, 0), value=1.0)


class View(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).view(-1, 8)


class MeanOfChannels(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(1)


class JoinRows(Small):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.cat((y, functional.max_pool2d(y, 1)), dim=2)


class JoinImage(Small):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.conv(x), x), 1)


class JoinSizes(Small):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.cat([y, functional.max_pool2d(y, 2)], 1)


class Branch(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.sum() > 0 else x


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x))


class ReadAgain(nn.Module):
    """The convolution's output is read before its ReLU too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 8)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.pool(y)
        return self.relu(y)


def chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


OPERATORS = (
    "Conv2d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Linear, "
    "BatchNorm1d, Dropout, Identity, view, mean, cat, add, or slice and pad of a shortcut"
)
INPUTS_PLACE = rf"\(.*test_draft\.py, line {inspect.getsourcelines(TwoInputs.forward)[1]}\)"
MULTIPLY_LINE = inspect.getsourcelines(Multiply.forward)[1] + 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            chain(nn.Conv2d(1, 2, 3), nn.Sigmoid()),
            rf"^Operator _1 must be one of {OPERATORS}, not Sigmoid: write the model with those$",
        ),
        (
            Multiply,
            (
                rf"^Operator mul \(.*test_draft\.py, line {MULTIPLY_LINE}\) must be one of "
                rf"{OPERATORS}, not .*mul.*: write the model with those$"
            ),
        ),
        (AddNothing, r"^Add add \(.*, line \d+\) must add two tensors, without a factor$"),
        (
            AddTwice,
            (
                r"^Add add \(.*, line \d+\) must take a convolution, with or without batch norm, "
                r"that nothing else reads, and an image to add to it$"
            ),
        ),
        (
            AddShapes,
            r"^Add add \(.*, line \d+\) must add equal shapes, not \(3, 8, 8\) and \(1, 8, 8\)$",
        ),
        (
            NormBehindAdd,
            r"^BatchNorm2d norm \(.*, line \d+\) must directly follow a convolution$",
        ),
        (
            SliceRead,
            (
                r"^Layer conv \(.*, line \d+\) must read a whole tensor, not a slice of input: "
                r"only an add takes slices and padded channels$"
            ),
        ),
        (SliceRows, r"^Slice getitem \(.*, line \d+\) must be x\[:, :, ::n, ::n\] of an image$"),
        (
            PadPixels,
            (
                r"^Pad pad \(.*, line \d+\) must be \(0, 0, 0, 0, before, after\) with zeros: put "
                r"the padding of pixels into the convolution$"
            ),
        ),
        (PadOnes, r"^Pad pad \(.*\) must be \(0, 0, 0, 0, before, after\) with zeros: "),
        (
            View,
            (
                r"^View view \(.*, line \d+\) must flatten an image, as x\.flatten\(1\) does, and "
                r"nothing else$"
            ),
        ),
        (
            MeanOfChannels,
            (
                r"^Mean mean \(.*, line \d+\) must be over the pixels, x\.mean\(\(2, 3\)\), not "
                r"over 1$"
            ),
        ),
        (
            JoinRows,
            (
                r"^Concatenation cat \(.*, line \d+\) must join different images along their "
                r"channels, dimension 1, not the network's own input$"
            ),
        ),
        (JoinImage, r"^Concatenation cat \(.*\) must join different images along their channels"),
        (
            JoinSizes,
            (
                r"^Concatenation cat \(.*, line \d+\) must join images of one size, not \(8, 8\) "
                r"and \(4, 4\)$"
            ),
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.BatchNorm1d(2)),
            r"^BatchNorm1d _1 must directly follow a linear layer$",
        ),
        (Branch, r"^Model must be traceable by torch\.fx, without branches on values: "),
        (Twice, r"^Layer conv_1 \(.*, line \d+\) must be used once: its weights cannot be "),
        (TwoInputs, rf"^Model {INPUTS_PLACE} must have one input, not also y$"),
        (ReadAgain, r"^ReLU relu \(.*, line \d+\) must be the only reader of conv$"),
        (Branching, r"^Layer pool \(.*, line \d+\) must lead to the logits, once, or be removed$"),
        (chain(nn.ReLU()), r"^ReLU _0 must directly follow a convolution or linear layer$"),
        (
            chain(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ReLU()),
            r"^ReLU _2 must not follow another ReLU$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)),
            r"^BatchNorm2d _2 must directly follow a convolution$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False)),
            r"^Layer _1 must have affine = True, not False$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3, stride=(1, 2))),
            r"^Layer _0 must have one stride, not \(1, 2\)$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3, padding="same")),
            r"^Layer _0 must have padding in numbers, not 'same'$",
        ),
        (chain(nn.Conv2d(1, 2, 3, dilation=2)), r"^Layer _0 must have dilation = 1, not 2$"),
        (
            chain(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")),
            r"^Layer _0 must have padding_mode = 'zeros', not 'reflect'$",
        ),
        (chain(nn.Conv2d(2, 2, 3, groups=2)), r"^Layer _0 must take 1 channels, not 2$"),
        (chain(nn.Conv2d(3, 2, 3)), r"^Layer _0 must take 1 channels, not 3$"),
        (
            chain(nn.Conv2d(1, 2, 9)),
            r"^Layer _0 must have a window that fits into \(8, 8\), not \(9, 9\)$",
        ),
        (chain(nn.Linear(8, 2)), r"^Layer _0 must read a flattened tensor$"),
        (chain(nn.Flatten(), nn.Linear(8, 2)), r"^Layer _1 must take 64 inputs, not 8$"),
        (
            chain(nn.Flatten(), nn.MaxPool2d(2)),
            r"^Layer _1 must read an image, not a flattened tensor$",
        ),
        (chain(nn.Flatten(0)), r"^Flatten _0 must flatten dimensions 1 to -1$"),
        (
            chain(nn.MaxPool2d(2, ceil_mode=True)),
            r"^Layer _0 must have ceil_mode = False, not True$",
        ),
        (
            chain(nn.AvgPool2d(3, padding=1, count_include_pad=False)),
            r"^Layer _0 must have count_include_pad = True, not False$",
        ),
        (chain(nn.AdaptiveAvgPool2d(2)), r"^Layer _0 must have output_size = 1, not 2$"),
        (
            chain(nn.Conv2d(1, 2, 8), nn.ReLU()),
            r"^Model must end in a linear layer, or a convolution to one pixel, without ReLU$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.MaxPool2d(6)),
            r"^Model must end in a linear layer, or a convolution to one pixel, without ReLU$",
        ),
    ],
)
def test_refuses_by_name(build: Callable[[], nn.Module], message: str) -> None:
    """What the machine does not have is refused with the layer's name."""
    with pytest.raises(ValueError, match=message):
        draft(build(), SHAPE)


def test_refuses_two_results() -> None:
    """A network has one output."""
    message = r"^Model \(.*test_draft\.py, line \d+\) must return one tensor, not "
    with pytest.raises(TypeError, match=message + r"\(x, x\)$"):
        draft(TwoOutputs(), SHAPE)
    with pytest.raises(TypeError, match=message + r"\{'logits': x\}$"):
        draft(Named(), SHAPE)

# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from own_network import NETWORK

from tritone.qat.benchmark import BASELINE, measure, time_training


def test_steps_take_turns_and_ratios_are_of_the_same_round() -> None:
    """After a step that is not measured; a slow round slows both and leaves the ratio."""
    now, calls = [0.0], []

    def step(name: str, seconds: list[float]) -> None:
        calls.append(name)
        now[0] += seconds.pop(0)

    base, other = [9.0, 1.0, 10.0, 2.0], [9.0, 1.5, 15.0, 8.0]
    steps = {BASELINE: lambda: step("a", base), "other": lambda: step("b", other)}
    first, second = measure(steps, 3, clock=lambda: now[0])
    assert calls == ["a", "b"] * 4
    assert (first.name, first.seconds, first.ratio) == (BASELINE, 2.0, 1.0)
    assert (second.name, second.seconds, second.ratio) == ("other", 8.0, 1.5)


def test_every_method_trains_a_small_network() -> None:
    """Full precision first; the settings of torch stay."""
    threads = torch.get_num_threads()
    times = time_training(1, model="resnet8", batch=2)
    names = [each.name for each in times]
    assert names[0] == BASELINE
    assert {"POST + LSQ", "POST + EWGS", "POST by AB + LSQ", "POST + ASQ"} < set(names)
    assert "LSQ without streams" in names
    assert all(each.seconds > 0 for each in times)
    assert torch.get_num_threads() == threads


def test_a_network_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file in the current folder; the images are larger than the digits."""
    monkeypatch.chdir(tmp_path)
    Path("my_net.py").write_text(NETWORK.replace("linear = nn.Linear(16", "linear = nn.Linear(256"))
    assert time_training(1, model="my_net.py:MyNet", batch=2)[0].name == BASELINE


@pytest.mark.parametrize(
    ("rounds", "batch", "message"),
    [
        (0, 2, r"^Rounds must be positive, not 0$"),
        (1, 1, r"^Batch must have at least 2 images, not 1$"),
    ],
)
def test_refuses_nothing_to_measure(rounds: int, batch: int, message: str) -> None:
    """Batch norm has no statistics of one image."""
    with pytest.raises(ValueError, match=message):
        time_training(rounds, model="resnet8", batch=batch)

# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.speed: what a simulation takes, part by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.compiler import predict
from tritone_sim.speed import Speed, measure_speed


def test_every_part_is_measured(bare: Path, workload: Any, folder: Path) -> None:
    """Bench and bare model take the predicted cycles; dumps take more; times add up."""
    program = workload.program
    parts = measure_speed(workload.model, bare, program, workload.packed, folder)
    dumped, free, golden, whole, alone = parts
    assert {each.images for each in parts} == {3}
    assert free.cycles == alone.cycles == predict(program, 3).cycles < dumped.cycles
    assert golden.cycles is whole.cycles is None
    assert whole.seconds == pytest.approx(dumped.seconds + free.seconds + golden.seconds)
    assert alone.seconds < free.seconds  # what the bench is for is not free


def test_rates_follow_from_seconds() -> None:
    speed = Speed(name="bench", images=3, cycles=600, seconds=1.5)
    assert (speed.images_per_second, speed.cycles_per_second) == (2.0, 400.0)
    assert Speed(name="golden", images=3, cycles=None, seconds=1.5).cycles_per_second is None


def test_a_machine_that_computes_something_else_is_no_measurement(
    bare: Path, workload: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden machine is given another image than the bench."""
    from tritone_sim import speed

    right = speed.golden_tensors
    monkeypatch.setattr(
        speed, "golden_tensors", lambda program, images: right(program, images[:-1] + b"\x07")
    )
    message = "^Bench must equal the golden machine, not differ in image 2, layer layer0, "
    with pytest.raises(RuntimeError, match=message):
        measure_speed(workload.model, bare, workload.program, workload.packed, folder)


def test_a_bare_model_that_disagrees_is_no_measurement(
    bare: Path, workload: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cycle more is enough."""
    from tritone_sim import speed

    right = speed.run_bare

    def slower(*arguments: Any) -> Any:
        found = right(*arguments)
        return replace(found, cycles=found.cycles + 1)

    monkeypatch.setattr(speed, "run_bare", slower)
    cycles = predict(workload.program, 3).cycles
    message = f"^Bare model must take the bench's {cycles} cycles to the same results, not "
    with pytest.raises(RuntimeError, match=message):
        measure_speed(workload.model, bare, workload.program, workload.packed, folder)

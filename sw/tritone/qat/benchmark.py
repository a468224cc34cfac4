# SPDX-License-Identifier: Apache-2.0
"""How long a training step takes: every method on the same network, in turns, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.arithmetic import Arithmetic, autocast
from tritone.qat.convert import convert
from tritone.qat.determinism import deterministic
from tritone.qat.estimators import EstimatorKind
from tritone.qat.memory import keep_freed_memory
from tritone.qat.method import Method, WeightMethod
from tritone.qat.models.catalog import build_model
from tritone.qat.models.source import read_source
from tritone.qat.modules import real_input
from tritone.qat.precision import Precision
from tritone.qat.rivals import brevitas_network, plain_network
from tritone.qat.schedules import set_blend, set_delta

__all__ = ["BASELINE", "StepTime", "measure", "time_training"]

BASELINE = "FP32"
SHAPE = (3, 32, 32)
CLASSES = 10
LEARNING_RATE = 0.01
MOMENTUM = 0.9
DELTA = 1e-3
BLEND = 0.5


@dataclass(frozen=True)
class _Ours:
    """A method of ours: 4 bits where the name says nothing."""

    name: str
    weights: str
    estimator: EstimatorKind = EstimatorKind.STE
    activations: ActivationMethod = field(default_factory=ActivationMethod)
    arithmetic: Arithmetic = Arithmetic.FLOAT32


_OURS = (
    _Ours("POST + LSQ", "post4"),
    _Ours("POST + LSQ in bfloat16", "post4", arithmetic=Arithmetic.BFLOAT16),
    _Ours("uniform + LSQ", "int4"),
    _Ours("binary + LSQ", "binary"),
    _Ours("POST + PACT", "post4", activations=ActivationMethod(quantizer=ActivationKind.PACT)),
    _Ours(
        "POST + EWGS",
        "post4",
        EstimatorKind.EWGS,
        ActivationMethod(quantizer=ActivationKind.EWGS, estimator=EstimatorKind.EWGS),
    ),
    _Ours("POST by AB + LSQ", "post4", EstimatorKind.BLENDING),
    _Ours("POST + ASQ", "post4", activations=ActivationMethod(quantizer=ActivationKind.ASQ)),
)


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One method.

    Parameters
    ----------
    name : of the method.
    seconds : median of its steps.
    ratio : median, over the rounds, of its step's time over that of the baseline.
    """

    name: str
    seconds: float
    ratio: float


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A network whose steps are timed.

    Parameters
    ----------
    raw : it takes raw bytes.
    arithmetic : of its convolutions.
    """

    name: str
    network: nn.Module
    raw: bool = False
    arithmetic: Arithmetic = Arithmetic.FLOAT32


def _candidates(model: str, seed: int) -> Iterator[_Candidate]:
    """Return the networks, all from the same weights."""

    source = read_source(model, Path())

    def fresh() -> nn.Module:
        torch.manual_seed(seed)
        return build_model(model, SHAPE[0], CLASSES, source)

    yield _Candidate(name=BASELINE, network=fresh())
    for ours in _OURS:
        weights = WeightMethod(estimator=ours.estimator)
        method = Method(weights=weights, activations=ours.activations)
        made = convert(fresh(), SHAPE, Precision(weights=ours.weights, act_bits=4), method)
        set_delta(made, DELTA)
        set_blend(made, BLEND)
        yield _Candidate(name=ours.name, network=made, raw=True, arithmetic=ours.arithmetic)
    yield _Candidate(name="LSQ without streams", network=plain_network(fresh()))
    for name, streams in (("Brevitas, convolutions only", False), ("Brevitas", True)):
        rival = brevitas_network(fresh(), streams=streams)
        if rival is not None:
            yield _Candidate(name=name, network=rival)


def _step(candidate: _Candidate, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """Return a function that trains a network for one step."""
    model = candidate.network.train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True
    )

    def step() -> None:
        with autocast(candidate.arithmetic, images.device):
            logits = model(images if candidate.raw else real_input(images))
        loss = functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(
    steps: dict[str, Callable[[], None]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[StepTime]:
    """Return the times of ``steps``, of which BASELINE is one.

    Each runs once unmeasured; then all of them run in turns, so that whatever else the machine does
    meets all of them alike.

    Parameters
    ----------
    rounds : how often each is measured.
    clock : in seconds.
    """
    if rounds < 1:
        raise ValueError(f"Rounds must be positive, not {rounds!r}")
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            before = clock()
            step()
            seconds[name].append(clock() - before)
    base = seconds[BASELINE]
    return [
        StepTime(
            name=name,
            seconds=statistics.median(times),
            ratio=statistics.median(each / one for each, one in zip(times, base, strict=True)),
        )
        for name, times in seconds.items()
    ]


def time_training(
    rounds: int, *, model: str = "resnet20", batch: int = 128, threads: int = 1, seed: int = 0
) -> list[StepTime]:
    """Return how long a training step takes with each method, full precision first.

    Parameters
    ----------
    rounds : as for ``measure``.
    model : as in a recipe of the current folder, for images of 3x32x32.
    batch, threads, seed : of the steps.
    """
    if batch < 2:
        raise ValueError(f"Batch must have at least 2 images, not {batch!r}")
    keep_freed_memory()  # as training does
    with deterministic(threads), torch.random.fork_rng(devices=[]):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (batch, *SHAPE), generator=generator).to(torch.uint8)
        labels = torch.randint(0, CLASSES, (batch,), generator=generator)
        steps = {each.name: _step(each, images, labels) for each in _candidates(model, seed)}
        return measure(steps, rounds)

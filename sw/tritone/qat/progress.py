# SPDX-License-Identifier: Apache-2.0
"""What a person sees while a network trains."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["TrainingDisplay"]


class TrainingDisplay:
    """A bar with stage, epoch, loss, top-1 and the time left; a context manager.

    Loss and top-1 are those of the training images of the epoch so far.

    Parameters
    ----------
    console : where.
    steps : of the whole run.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  top-1 {task.fields[top1]:.1f} %"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("", total=steps, loss=0.0, top1=0.0)

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def skip(self, steps: int) -> None:
        """Show that ``steps`` more were done before."""
        self._bar.update(self._task, advance=steps)

    def warn(self, message: str) -> None:
        """Show a line above the bar."""
        self._bar.console.print(f"warning: {message}", soft_wrap=True)

    def step(self, stage: str, epoch: int, epochs: int, loss: float, top1: float) -> None:
        """Show one more step: the mean loss and top-1 (percent) of the epoch so far."""
        description = f"{stage} {epoch}/{epochs}"
        self._bar.update(self._task, advance=1, description=description, loss=loss, top1=top1)

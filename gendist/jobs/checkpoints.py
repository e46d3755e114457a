"""Checkpoints of a training, from which it goes on to the very weights that it would have had uninterrupted."""

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gendist.jobs import stop_signals
from gendist.jobs.save_timer import SaveTimer
from gendist.jobs.work_folder import WorkFolder

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

SAVE_INTERVAL = 60.0
"""Seconds between checkpoints; what trains for less than that keeps none."""
SUFFIX = ".safetensors"
STATE_KEY = "course"
"""Key of the plain values among the metadata of a checkpoint."""
SECONDS_KEY = "seconds"
C = TypeVar("C", bound="DataclassInstance")


class Checkpoints(Generic[C]):
    """Keeps all that the rest of a training depends on.

    That is trained weights and buffers, the optimizer's state, torch's random states, the course (a dataclass of plain
    values: how far the training is, what it has measured, states of numpy's generators), and weights set aside.
    """

    def __init__(self, work: WorkFolder, course: C, name: str = "training") -> None:
        """Bring a course to where an interrupted attempt left it; one that is new stays as it is.

        Args:
            work: where checkpoints are kept.
            course: plain values; replaced by those of the last checkpoint, if there is one.
            name: of the training, where one result takes several.
        """
        self.work, self.course, self.name = work, course, name
        self.weights: dict[str, torch.Tensor] = {}
        """Weights that the course sets aside, such as the best so far; saved along."""
        self.seconds = 0.0
        """What earlier attempts took up to their last checkpoint."""
        self._began = time.monotonic()
        self._due = SaveTimer(SAVE_INTERVAL)
        self._found: dict[str, torch.Tensor] = {}
        self._file: Path | None = None
        found = [file for file in work.saved_files(SUFFIX) if file.name.startswith(f"{name}-")]
        if found:
            *older, self._file = found
            for file in older:
                file.unlink()
            with safe_open(self._file, "pt") as stored:
                values = json.loads(stored.metadata()[STATE_KEY])
                self.seconds = values.pop(SECONDS_KEY)
            self._found = load_file(self._file)
            for key, value in values.items():
                setattr(course, key, value)
            self.weights = self._part("weights")

    def attach(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Put what was found into a fresh model and its optimizer; from now on those two are saved.

        Returns:
            Whether anything was found.
        """
        self.model, self.optimizer = model, optimizer
        if not self._found:
            return False
        with torch.no_grad():
            for name, value in _trained(model).items():
                value.copy_(self._found[f"model.{name}"])
        # Only the states: the groups hold settings, and a learning rate that the training sets before each step.
        states: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in self._part("optimizer").items():
            number, _, name = key.partition(".")
            states.setdefault(int(number), {})[name] = value
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(self._found["random.cpu"])
        if "random.cuda" in self._found:
            torch.cuda.set_rng_state(self._found["random.cuda"])
        device = next(model.parameters()).device
        self.weights = {name: value.to(device) for name, value in self.weights.items()}
        self._found = {}
        return True

    def after_step(self, step: int, steps: int) -> None:
        """Save if it is time; save and end the job if that was asked for.

        Args:
            step: of all steps done, which numbers the checkpoint.
            steps: all there are.

        Raises:
            Stopped: if the job was asked to stop.
        """
        if stop_signals.stop_requested() or self._due.is_due():
            with self._due.saving():
                file = self._save(step)
            if stop_signals.stop_requested():
                log.info("stopped %s step %d of %d", "after" if file else "and lost", step, steps)
        stop_signals.raise_if_stopped()

    def elapsed(self) -> float:
        """Return the seconds since this was made, and before that in earlier attempts."""
        return self.seconds + time.monotonic() - self._began

    def remove(self) -> None:
        """Drop the last checkpoint: its training has ended."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None

    def _save(self, step: int) -> Path | None:
        tensors = {f"model.{name}": value.detach() for name, value in _trained(self.model).items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{number}.{name}": value for name, value in state.items()})
        tensors.update({f"weights.{name}": value for name, value in self.weights.items()})
        tensors["random.cpu"] = torch.get_rng_state()
        if any(value.is_cuda for value in tensors.values()):
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        plain = {STATE_KEY: json.dumps({**asdict(self.course), SECONDS_KEY: self.elapsed()})}
        file = self.work.save_file(f"{self.name}-{step:08d}", SUFFIX, lambda part: save_file(tensors, part, plain))
        if file is not None and file != self._file:
            self.remove()
            self._file = file
        return file

    def _part(self, name: str) -> dict[str, torch.Tensor]:
        return {key.removeprefix(f"{name}."): value for key, value in self._found.items() if key.startswith(f"{name}.")}


def _trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What training changes: parameters that have a gradient, and buffers such as running means."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    stored = model.state_dict()
    return {**trained, **{name: value for name, value in model.named_buffers() if name in stored}}

"""Training checkpoints; a resumed training reaches exactly the weights of an uninterrupted one."""

import json
import logging
import time
from collections.abc import Callable
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
"""Seconds between checkpoints; shorter trainings write none."""
SUFFIX = ".safetensors"
STATE_KEY = "state"
"""Metadata key of the training state in a checkpoint file."""
SECONDS_KEY = "seconds"
State = TypeVar("State", bound="DataclassInstance")


class Checkpoints(Generic[State]):
    """Saves and restores everything that the rest of a training depends on.

    A checkpoint contains the trained weights and buffers, the optimizer state, torch's random states, the training
    state (a dataclass of JSON values: step, measurements, states of NumPy generators), and extra weights.
    """

    def __init__(self, work: WorkFolder, state: State, name: str = "training") -> None:
        """Load the latest checkpoint, if there is one.

        Args:
            work: folder of the checkpoints.
            state: the initial training state; overwritten by that of the checkpoint.
            name: name of the training, if one result needs several.
        """
        self.work, self.state, self.name = work, state, name
        self.extra_weights: dict[str, torch.Tensor] = {}
        """Further weights to save, such as the best so far."""
        self.seconds = 0.0
        """Training time of earlier attempts, up to the checkpoint."""
        self._began = time.monotonic()
        self._timer = SaveTimer(SAVE_INTERVAL)
        self._restored: dict[str, torch.Tensor] = {}
        self._file: Path | None = None
        files = [file for file in work.saved_files(SUFFIX) if file.name.startswith(f"{name}-")]
        if files:
            *older, self._file = files
            for file in older:
                file.unlink()
            with safe_open(self._file, "pt") as stored:
                values = json.loads(stored.metadata()[STATE_KEY])
                self.seconds = values.pop(SECONDS_KEY)
            self._restored = load_file(self._file)
            for key, value in values.items():
                setattr(state, key, value)
            self.extra_weights = self._with_prefix("weights")

    def restore(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Register the model and its optimizer for saving, and restore them from the checkpoint, if there is one.

        Returns:
            Whether a checkpoint was restored.
        """
        self.model, self.optimizer = model, optimizer
        if not self._restored:
            return False
        with torch.no_grad():
            for name, value in _trainable_state(model).items():
                value.copy_(self._restored[f"model.{name}"])
        # Only the state: the param groups are settings, and the training sets the learning rate before each step.
        states: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in self._with_prefix("optimizer").items():
            number, _, name = key.partition(".")
            states.setdefault(int(number), {})[name] = value
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(self._restored["random.cpu"])
        if "random.cuda" in self._restored:
            torch.cuda.set_rng_state(self._restored["random.cuda"])
        device = next(model.parameters()).device
        self.extra_weights = {name: value.to(device) for name, value in self.extra_weights.items()}
        self._restored = {}
        return True

    def after_step(self, step: int, steps: int, update_state: Callable[[], object] | None = None) -> None:
        """Save a checkpoint if it is due; on a stop request, save one and stop the job.

        Args:
            step: steps done; numbers the checkpoint.
            steps: total steps.
            update_state: called before saving, if parts of the state are still on a GPU.

        Raises:
            Stopped: if a stop was requested.
        """
        if stop_signals.stop_requested() or self._timer.is_due():
            if update_state is not None:
                update_state()
            with self._timer.saving():
                file = self._save(step)
            if stop_signals.stop_requested():
                log.info("stopped after step %d of %d%s", step, steps, "" if file else ", without a checkpoint")
        stop_signals.raise_if_stopped()

    def elapsed(self) -> float:
        """Return the training time in seconds, including earlier attempts."""
        return self.seconds + time.monotonic() - self._began

    def delete(self) -> None:
        """Delete the checkpoint, after the end of the training."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None

    def _save(self, step: int) -> Path | None:
        tensors = {f"model.{name}": value.detach() for name, value in _trainable_state(self.model).items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{number}.{name}": value for name, value in state.items()})
        tensors.update({f"weights.{name}": value for name, value in self.extra_weights.items()})
        tensors["random.cpu"] = torch.get_rng_state()
        if any(value.is_cuda for value in tensors.values()):
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        metadata = {STATE_KEY: json.dumps({**asdict(self.state), SECONDS_KEY: self.elapsed()})}
        file = self.work.save_file(f"{self.name}-{step:08d}", SUFFIX, lambda part: save_file(tensors, part, metadata))
        if file is not None and file != self._file:
            self.delete()
            self._file = file
        return file

    def _with_prefix(self, name: str) -> dict[str, torch.Tensor]:
        return {
            key.removeprefix(f"{name}."): value for key, value in self._restored.items() if key.startswith(f"{name}.")
        }


def _trainable_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors that training changes: parameters with gradients, and buffers such as running means."""
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    stored = model.state_dict()
    return {**parameters, **{name: value for name, value in model.named_buffers() if name in stored}}

"""Save and load checkpoints of a pretraining run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY
from tools.pocket.pretraining_settings import Pretraining


@dataclass
class PretrainingState:
    """Mutable state of a pretraining run."""

    model: torch.nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    step: int = 0
    """Finished optimizer steps."""
    seconds: float = 0.0
    """Elapsed training time."""

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter, torch.optim.Optimizer]]:
        """Yield name, parameter and optimizer of each trained parameter."""
        names = {p: name for name, p in self.model.named_parameters()}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    yield names[p], p, optimizer


def save_checkpoint(settings: Pretraining, state: PretrainingState, corpus: str) -> None:
    """Write weights and optimizer state as safetensors, atomically.

    Args:
        settings: settings of the run.
        state: state to save.
        corpus: hash of the token stream.
    """
    tensors = {}
    for name, p, optimizer in state.parameters():
        tensors[f"weight {name}"] = p.detach().contiguous()
        for key, value in optimizer.state[p].items():
            tensors[f"{key} {name}"] = value.contiguous()
    record = {
        "step": state.step,
        "seconds": state.seconds,
        "of": settings.seconds,
        "corpus": corpus,
        **settings.identity,
    }
    part = settings.checkpoint.with_suffix(".part")
    save_file(tensors, part, metadata={PROVENANCE_KEY: json.dumps(record, sort_keys=True)})
    part.replace(settings.checkpoint)


def load_checkpoint(settings: Pretraining, state: PretrainingState, corpus: str) -> None:
    """Restore the state from a checkpoint, if one exists.

    Raises:
        GendistError: if the checkpoint has another corpus or other settings, or has already trained longer.
    """
    if not settings.checkpoint.exists():
        return
    with safe_open(settings.checkpoint, "pt") as stored, torch.no_grad():
        record = json.loads(stored.metadata()[PROVENANCE_KEY])
        for name, value in {"corpus": corpus, **settings.identity}.items():
            if record[name] != value:
                raise GendistError(
                    f"{settings.checkpoint}: made with {name} {record[name]}, not {value}; delete it to start over"
                )
        if record["seconds"] >= settings.seconds != record["of"]:
            raise GendistError(
                f"{settings.checkpoint}: already trained for {record['seconds']:.0f} s, more than"
                f" {settings.seconds:.0f} s; delete it to start over"
            )
        state.step, state.seconds = record["step"], record["seconds"]
        keys = set(stored.keys())
        for name, p, optimizer in state.parameters():
            p.copy_(stored.get_tensor(f"weight {name}"))
            optimizer.state[p] = {
                key.removesuffix(f" {name}"): stored.get_tensor(key).to(p.device)
                for key in keys
                if key.endswith(f" {name}") and not key.startswith("weight ")
            }

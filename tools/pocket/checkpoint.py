"""The state of a pretraining run, and its checkpoint on disk."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY
from tools.pocket.settings import Pretraining


@dataclass
class TrainingState:
    """Everything that changes while a run trains."""

    model: torch.nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    step: int = 0
    """Optimiser steps taken."""
    seconds: float = 0.0
    """Training time used."""

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter, torch.optim.Optimizer]]:
        """Yield each trained parameter with its name and the optimiser that updates it."""
        names = {p: name for name, p in self.model.named_parameters()}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    yield names[p], p, optimizer


def save_checkpoint(settings: Pretraining, state: TrainingState, corpus: str) -> None:
    """Write weights and optimiser state as safetensors, whole or not at all.

    Args:
        settings: of the run.
        state: to save.
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


def load_checkpoint(settings: Pretraining, state: TrainingState, corpus: str) -> None:
    """Restore what ``save_checkpoint`` wrote; without a checkpoint the state stays as it is.

    Raises:
        GendistError: if the checkpoint was made from another corpus, with other settings, or is past the time.
    """
    if not settings.checkpoint.exists():
        return
    with safe_open(settings.checkpoint, "pt") as stored, torch.no_grad():
        record = json.loads(stored.metadata()[PROVENANCE_KEY])
        for name, value in {"corpus": corpus, **settings.identity}.items():
            if record[name] != value:
                raise GendistError(
                    f"{settings.checkpoint}: made with {name} {record[name]}, not {value}; delete it to start anew"
                )
        if record["seconds"] >= settings.seconds != record["of"]:
            raise GendistError(
                f"{settings.checkpoint}: has trained for {record['seconds']:.0f} s already, more than"
                f" {settings.seconds:.0f} s; delete it to start anew"
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

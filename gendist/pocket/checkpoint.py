"""What a pretraining run leaves on disk: the checkpoint to go on from and the finished body."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gendist.artifacts import Provenance, hash_file
from gendist.artifacts.provenance import KEY
from gendist.errors import GendistError
from gendist.pocket.encoder import PACKAGE, encoder_folder
from gendist.pocket.model import trained_parameters
from gendist.pocket.settings import Pretraining


def save_checkpoint(settings: Pretraining, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, both moments and the next step as safetensors, whole or not at all."""
    tensors = {}
    for name, p in trained_parameters(model):
        tensors[f"weight.{name}"] = p.detach().contiguous()
        for moment in ("exp_avg", "exp_avg_sq"):
            tensors[f"{moment}.{name}"] = optimizer.state[p][moment].contiguous()
    part = settings.checkpoint.with_suffix(".part")
    save_file(tensors, part, metadata={"step": str(step), **settings.identity})
    part.replace(settings.checkpoint)


def load_checkpoint(settings: Pretraining, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what ``save_checkpoint`` wrote; return the next step, 0 without a checkpoint.

    Raises:
        GendistError: if the checkpoint was made with another seed, batch or window, or of more tokens.
    """
    if not settings.checkpoint.exists():
        return 0
    with safe_open(settings.checkpoint, "pt") as stored, torch.no_grad():
        metadata = stored.metadata()
        for name, value in settings.identity.items():
            if metadata.get(name, value) != value:
                raise GendistError(
                    f"{settings.checkpoint}: made with {name} {metadata[name]}, not {value}; delete it to start anew"
                )
        step = int(metadata["step"])
        if step > settings.steps:
            seen = step * settings.step_tokens
            raise GendistError(f"{settings.checkpoint}: has seen {seen} tokens already, more than {settings.tokens}")
        for name, p in trained_parameters(model):
            p.copy_(stored.get_tensor(f"weight.{name}"))
            moments = {m: stored.get_tensor(f"{m}.{name}").to(p.device) for m in ("exp_avg", "exp_avg_sq")}
            optimizer.state[p] = {"step": torch.tensor(float(step), device=p.device), **moments}
    return step


def save_body(settings: Pretraining, model: torch.nn.Module, stream_file: Path) -> None:
    """Write the trained weights in float16 with their provenance, whole or not at all."""
    body = {name: p.detach().half().contiguous() for name, p in trained_parameters(model)}
    base = settings.base or encoder_folder()
    provenance = Provenance(
        "pocket-generator",
        inputs={"token stream": hash_file(stream_file)},
        settings=settings.recipe,
        seed=settings.seed,
        source_models={settings.base.name if settings.base else PACKAGE: hash_file(base / "model.safetensors")},
    )
    part = settings.body.with_suffix(".part")
    save_file(body, part, metadata={KEY: provenance.to_json()})  # one key: several are written in random order
    part.replace(settings.body)


def is_finished(settings: Pretraining) -> bool:
    """Whether the body is there and was made with these settings."""
    if not settings.body.exists():
        return False
    with safe_open(settings.body, "pt") as stored:
        made = json.loads((stored.metadata() or {}).get(KEY, "{}"))
    return made.get("settings") == settings.recipe and made.get("seed") == settings.seed

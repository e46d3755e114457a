"""Pretrain students on general text to give the encoder's sentence embedding (general distillation).

As the first stage of TinyBERT (Jiao et al. 2020): the student learns from the encoder before it meets a task. Its
classifier serves as the linear map to the embedding, and is not kept.
"""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY, Provenance, hash_file
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.students.architectures import build
from gendist.stages.students.data import epoch, hide_pieces
from gendist.stages.students.pieces import Pieces
from gendist.stages.students.run import encode
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train import student_logits
from tools.pocket.snippets import read_snippets

log = logging.getLogger(__name__)

FILTER_SCALE = {"kim": 0.25}
"""What the filters of an architecture are multiplied by at the end, which scales all features alike. Pretraining
leaves them several times as large as fresh ones, and a task's few steps at 1e-3 would hardly move them."""
HEAD = "classifier."
"""Weights that are not kept begin with this."""


@dataclass(frozen=True)
class GeneralDistillation:
    """Settings of the pretraining of one student."""

    architecture: str = "kim"
    epochs: int = 6
    """Passes over the snippets."""
    batch: int = 128
    """Snippets per step."""
    learning_rate: float = 2e-3
    """Of Adam; it falls linearly to zero over the last half of the steps."""
    dropout: float = 0.1
    """Share of the features that is dropped before the linear map."""
    token_dropout: float = 0.05
    """Mean share of a snippet's pieces that are hidden."""
    max_pieces: int = 128
    """Longer snippets are cut."""
    held_out: int = 2000
    """Snippets at the head of the first shard that are not trained on."""
    checkpoint_steps: int = 500
    """Steps between checkpoints, each with a held-out score."""
    seed: int = 0

    @property
    def recipe(self) -> dict[str, int | float | str]:
        """The settings that the weights depend on, except for the seed."""
        return {name: value for name, value in asdict(self).items() if name not in ("seed", "checkpoint_steps")}


def distil_general(files: Sequence[Path], embeddings: Path, target: Path, settings: GeneralDistillation) -> Path:
    """Train (or resume) a student on embedded snippets; write its weights but the head's, float16.

    Args:
        files: shards from ``embed_snippets``.
        embeddings: folder of the subword tokenizer and vectors.
        target: file to write, ``ARCHITECTURE.safetensors``; a checkpoint and ``ARCHITECTURE.jsonl`` with the held-out
            mean cosine similarity stand beside it.
        settings: of the training.

    Raises:
        GendistError: if the training diverges, or a checkpoint is of other settings or snippets.
    """
    if is_finished(target, settings, len(files)):
        return target
    torch.manual_seed(settings.seed)
    texts, vectors = read_snippets(files)
    subwords = load_subwords(embeddings)
    pieces = encode(subwords, texts, settings.max_pieces)
    student = Student(architecture=settings.architecture, dropout=settings.dropout)
    network = build(subwords.vectors, student, vectors.shape[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    _train(network, pieces, vectors, target=target, shards=len(files), settings=settings)
    made_from = {
        "shards": len(files),
        "snippets": len(texts) - settings.held_out,
        "filter_scale": FILTER_SCALE.get(settings.architecture, 1.0),
    }
    provenance = Provenance(
        "pocket-student",
        {file.name: hash_file(file) for file in [*files, *sorted(embeddings.glob("*.*"))]},
        settings.recipe | made_from,
        settings.seed,
    )
    scale = FILTER_SCALE.get(settings.architecture, 1.0)
    kept = {
        name: (value * scale if name.startswith("convolutions.") else value).half()
        for name, value in network.state_dict().items()
        if not name.startswith(HEAD)
    }
    part = target.with_suffix(".part")
    save_file(kept, part, metadata={PROVENANCE_KEY: provenance.to_json()})
    part.replace(target)
    return target


def is_finished(target: Path, settings: GeneralDistillation, shards: int) -> bool:
    """Whether the weights exist and were made with these settings from as many shards."""
    if not target.exists():
        return False
    with safe_open(target, "pt") as stored:
        made = json.loads((stored.metadata() or {}).get(PROVENANCE_KEY, "{}"))
    recipe = made.get("settings", {})
    return {**recipe, **settings.recipe, "shards": shards} == recipe and made.get("seed") == settings.seed


def embedding_loss(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return one minus the mean cosine similarity of rows (rows, width)."""
    return 1 - functional.cosine_similarity(predicted, wanted, dim=1).mean()


def _train(
    network: torch.nn.Module,
    pieces: Pieces,
    vectors: np.ndarray,
    *,
    target: Path,
    shards: int,
    settings: GeneralDistillation,
) -> None:
    """Train in place, from the last checkpoint if there is one."""
    first = settings.held_out
    trained = Pieces.of([pieces[i] for i in range(first, len(pieces))])
    per_epoch = math.ceil(len(trained) / settings.batch)
    steps = per_epoch * settings.epochs
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    checkpoint = target.with_suffix(".checkpoint")
    identity = json.dumps(settings.recipe | {"shards": shards, "seed": settings.seed}, sort_keys=True)
    step = _load_checkpoint(checkpoint, network, optimizer, identity)
    progress = Progress(f"general distillation of {settings.architecture}", steps, "steps", initial=step)
    while step < steps:
        rng = np.random.default_rng((settings.seed, step // per_epoch))
        torch.manual_seed(settings.seed + step)  # of dropout and hidden pieces
        for picks in epoch(trained.lengths, settings.batch, rng)[step % per_epoch :]:
            ids, mask = trained.padded(picks)
            ids = hide_pieces(ids, mask, settings.token_dropout)
            with devices.mixed_precision(devices.CPU):
                predicted = network(ids, mask).float()
            loss = embedding_loss(predicted, torch.from_numpy(vectors[first + picks]).float())
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * min(1.0, 2 * (steps - step) / steps)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            progress.update(1, f"loss {loss.item():.4f}")
            if step % settings.checkpoint_steps and step < steps:
                continue
            if not math.isfinite(loss.item()):
                raise GendistError(f"step {step}: the loss is {loss.item()}; lower the learning rate")
            similarity = held_out_similarity(network, pieces, vectors, first)
            record = {"step": step, "loss": round(loss.item(), 4), "held_out_cosine": round(similarity, 4)}
            log.info("%s", record)
            with target.with_suffix(".jsonl").open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
            _save_checkpoint(checkpoint, network, optimizer, step, identity)


def held_out_similarity(network: torch.nn.Module, pieces: Pieces, vectors: np.ndarray, count: int) -> float:
    """Return the mean cosine similarity of the first ``count`` texts' predicted embeddings to the encoder's."""
    head = Pieces.of([pieces[i] for i in range(count)])
    predicted = torch.from_numpy(student_logits(network, head))
    network.train()
    return 1 - float(embedding_loss(predicted, torch.from_numpy(vectors[:count]).float()))


def _save_checkpoint(
    file: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int, identity: str
) -> None:
    tensors = {}
    for name, weight in network.named_parameters():
        tensors[f"weight {name}"] = weight.detach()
        tensors |= {f"{key} {name}": value for key, value in optimizer.state[weight].items()}
    part = file.with_suffix(".part")
    save_file(tensors, part, metadata={PROVENANCE_KEY: json.dumps({"step": step, "identity": identity})})
    part.replace(file)


def _load_checkpoint(file: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: str) -> int:
    """Restore a checkpoint and return its step; 0 without one."""
    if not file.exists():
        return 0
    with safe_open(file, "pt") as stored:
        record = json.loads(stored.metadata()[PROVENANCE_KEY])
    if record["identity"] != identity:
        raise GendistError(f"{file}: made with {record['identity']}, not {identity}; delete it to start anew")
    tensors = load_file(file)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(tensors[f"weight {name}"])
            optimizer.state[weight] = {
                key.removesuffix(f" {name}"): value
                for key, value in tensors.items()
                if key.endswith(f" {name}") and not key.startswith("weight ")
            }
    return int(record["step"])

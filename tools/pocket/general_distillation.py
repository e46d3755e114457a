"""General distillation: pretrain students to predict the encoder's sentence embeddings of general text.

As the first stage of TinyBERT (Jiao et al. 2020), it precedes distillation on a task. Kim trains over wide vectors and
keeps the linear map to the embedding, from which training on a task starts; Res drops it.
"""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY, Provenance, hash_file
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.nn.pocket.weight_quantization import quantize
from gendist.stages.students.architectures import build
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.initial_weights import HEAD
from gendist.stages.students.length_batches import apply_token_dropout, epoch_batches
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train_student import predict_student
from gendist.stages.students.wide_kim import WideFeatures
from tools.pocket.snippets import read_snippets
from tools.pocket.wordpiece_vectors import encoder_ids, reduced_vectors

log = logging.getLogger(__name__)

FEATURE_SCALE = 4.0
"""Factor for Kim's embeddings and biases after pretraining, which scales all features equally: with small features, the
few steps of a task train the classifier too little and the embeddings too much."""
RECIPES: dict[str, dict[str, Any]] = {"kim": {"dropout": 0.0, "warmup_steps": 100}, "res": {}}
"""Settings that differ from the defaults, by architecture."""
WIDE = 256
"""Width of Kim's embedding."""
CLASSIFIER = "classifier."
"""Prefix of weights of Res that are not saved."""


class EmbeddingPredictor(nn.Module):
    """Wide features of Kim, dropout, and a linear map to the encoder's embedding."""

    def __init__(self, features: WideFeatures, dropout: float, outputs: int) -> None:
        """Build over initialised features."""
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features.width, outputs)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to embeddings (rows, outputs)."""
        return self.head(self.dropout(torch.cat(self.features(ids, mask), 1)))

    def packed(self, scale: float) -> dict[str, torch.Tensor]:
        """Return the weights with scaled features, matrices as int8 and the others as float16."""
        weights = self.head.state_dict(prefix=HEAD)
        weights[f"{HEAD}weight"] = weights[f"{HEAD}weight"] / scale
        for name, value in self.features.state_dict().items():
            weights[name] = value * scale if name.startswith("embedding.") or name.endswith(".bias") else value
        return quantize(weights)


@dataclass(frozen=True)
class GeneralDistillation:
    """Settings for pretraining one student."""

    architecture: str = "kim"
    epochs: int = 4
    """Epochs over the snippets."""
    batch: int = 128
    """Snippets per step."""
    learning_rate: float = 2e-3
    """Peak learning rate of Adam; decays linearly to zero over the last half of the steps."""
    warmup_steps: int = 0
    """Steps in which the learning rate rises linearly."""
    dropout: float = 0.1
    """Dropout of the features before the linear map."""
    token_dropout: float = 0.05
    """Mean share of dropped pieces."""
    max_pieces: int = 128
    """Truncation length."""
    held_out: int = 2000
    """Number of held-out snippets, at the start of the first shard."""
    checkpoint_steps: int = 500
    """Steps between checkpoints and held-out evaluations."""
    seed: int = 0

    @property
    def recipe(self) -> dict[str, int | float | str]:
        """Settings that affect the weights, without the seed."""
        return {name: value for name, value in asdict(self).items() if name not in ("seed", "checkpoint_steps")}


def distil_general(files: Sequence[Path], embeddings: Path, target: Path, settings: GeneralDistillation) -> Path:
    """Train or resume a student on embedded snippets, and write its weights.

    Args:
        files: shards of ``embed_snippets``.
        embeddings: folder with the subword tokenizer and vectors.
        target: file to write, ``ARCHITECTURE.safetensors``. Its folder also contains the checkpoint and
            ``ARCHITECTURE.jsonl`` with the mean held-out cosine similarity.
        settings: training settings.

    Raises:
        GendistError: if there are too few snippets, the training diverges, or a checkpoint has other settings or
            snippets.
    """
    if is_finished(target, settings, len(files)):
        return target
    torch.manual_seed(settings.seed)
    texts, vectors = read_snippets(files)
    if len(texts) <= settings.held_out:
        raise GendistError(
            f"{files[0].parent}: {len(texts):,} snippets, of which {settings.held_out:,} are held out; "
            "raise --snippets, or add a --corpus"
        )
    subwords = load_subwords(embeddings)
    pieces = encode_pieces(subwords, texts, settings.max_pieces)
    network = _initialised(subwords.vectors, pieces, embeddings, outputs=vectors.shape[1], settings=settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    _train(network, pieces, vectors, target=target, shards=len(files), settings=settings)
    made_from: dict[str, int | float] = {"shards": len(files), "snippets": len(texts) - settings.held_out}
    if isinstance(network, EmbeddingPredictor):
        made_from |= {"feature_scale": FEATURE_SCALE, "wide": WIDE}
        weights = network.packed(FEATURE_SCALE)
    else:
        stored = network.state_dict().items()
        weights = {name: value.half() for name, value in stored if not name.startswith(CLASSIFIER)}
    provenance = Provenance(
        "pocket-student",
        {file.name: hash_file(file) for file in [*files, *sorted(embeddings.glob("*.*"))]},
        settings.recipe | made_from,
        settings.seed,
    )
    part = target.with_suffix(".part")
    save_file(weights, part, metadata={PROVENANCE_KEY: provenance.to_json()})
    part.replace(target)
    return target


def _initialised(
    narrow: torch.Tensor, pieces: PieceIds, embeddings: Path, *, outputs: int, settings: GeneralDistillation
) -> nn.Module:
    """Build the network to train: Kim over wide vectors from the encoder, others over the packaged vectors."""
    if settings.architecture != "kim":
        student = Student(architecture=settings.architecture, init="general", dropout=settings.dropout)
        return build(narrow, student, outputs)
    counts = np.bincount(pieces.ids, minlength=len(narrow)) + 1
    wide, components = reduced_vectors(encoder_ids(embeddings), counts / counts.sum(), WIDE)
    features = WideFeatures(torch.from_numpy(wide), Student(init="general").filters)
    network = EmbeddingPredictor(features, settings.dropout, outputs)
    with torch.no_grad():  # the mean starts in the encoder's directions
        network.head.weight[:, features.n_pooled :] = torch.from_numpy(components).T
    return network


def is_finished(target: Path, settings: GeneralDistillation, shards: int) -> bool:
    """Return whether the weights exist and match these settings and number of shards."""
    if not target.exists():
        return False
    with safe_open(target, "pt") as stored:
        provenance = json.loads((stored.metadata() or {}).get(PROVENANCE_KEY, "{}"))
    recipe = provenance.get("settings", {})
    return {**recipe, **settings.recipe, "shards": shards} == recipe and provenance.get("seed") == settings.seed


def embedding_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return one minus the mean cosine similarity of predicted and target embeddings (rows, width)."""
    return 1 - functional.cosine_similarity(predicted, target, dim=1).mean()


def _train(
    network: torch.nn.Module,
    pieces: PieceIds,
    vectors: np.ndarray,
    *,
    target: Path,
    shards: int,
    settings: GeneralDistillation,
) -> None:
    """Train in place, resuming from the last checkpoint."""
    first = settings.held_out
    trained = PieceIds.of([pieces[i] for i in range(first, len(pieces))])
    per_epoch = math.ceil(len(trained) / settings.batch)
    steps = per_epoch * settings.epochs
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    checkpoint = target.with_suffix(".checkpoint")
    identity = json.dumps(settings.recipe | {"shards": shards, "seed": settings.seed}, sort_keys=True)
    step = _load_checkpoint(checkpoint, network, optimizer, identity)
    progress = Progress(f"general distillation of {settings.architecture}", steps, "steps", initial=step)
    while step < steps:
        rng = np.random.default_rng((settings.seed, step // per_epoch))
        torch.manual_seed(settings.seed + step)  # for dropout and token dropout
        for indices in epoch_batches(trained.lengths, settings.batch, rng)[step % per_epoch :]:
            ids, mask = trained.padded(indices)
            ids = apply_token_dropout(ids, mask, settings.token_dropout)
            with devices.mixed_precision(devices.CPU):
                predicted = network(ids, mask).float()
            loss = embedding_loss(predicted, torch.from_numpy(vectors[first + indices]).float())
            loss.backward()
            rising = (step + 1) / max(settings.warmup_steps, 1)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * min(1.0, rising, 2 * (steps - step) / steps)
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
            _save_checkpoint(checkpoint, network, optimizer, step=step, identity=identity)


def held_out_similarity(network: torch.nn.Module, pieces: PieceIds, vectors: np.ndarray, count: int) -> float:
    """Return the mean cosine similarity of predicted and encoder embeddings over the first ``count`` texts."""
    head = PieceIds.of([pieces[i] for i in range(count)])
    predicted = torch.from_numpy(predict_student(network, head))
    network.train()
    return 1 - float(embedding_loss(predicted, torch.from_numpy(vectors[:count]).float()))


def _save_checkpoint(
    file: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, *, step: int, identity: str
) -> None:
    tensors = {}
    for name, weight in network.named_parameters():
        tensors[f"weight {name}"] = weight.detach()
        tensors |= {f"{key} {name}": value for key, value in optimizer.state[weight].items()}
    part = file.with_suffix(".part")
    save_file(tensors, part, metadata={PROVENANCE_KEY: json.dumps({"step": step, "identity": identity})})
    part.replace(file)


def _load_checkpoint(file: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: str) -> int:
    """Restore a checkpoint and return its step; 0 if none exists."""
    if not file.exists():
        return 0
    with safe_open(file, "pt") as stored:
        record = json.loads(stored.metadata()[PROVENANCE_KEY])
    if record["identity"] != identity:
        raise GendistError(f"{file}: made with {record['identity']}, not {identity}; delete it to start over")
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

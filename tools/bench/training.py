"""Training a student: this package against a plain PyTorch loop over padded batches."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from gendist.config.student_settings import Student, Training
from gendist.nn import devices
from gendist.nn.padding import pad_batch
from gendist.nn.pocket.packaged_files import packaged_subwords
from gendist.stages.students.architectures import build
from gendist.stages.students.architectures.kim import Kim, dense_max
from gendist.stages.students.architectures.registry import embed
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.piece_ids import Encoded, PieceIds
from gendist.stages.students.subwords import Subwords, load_subwords
from gendist.stages.students.train_student import predict_student, train_student
from gendist.stages.students.training_rows import TrainingRows
from tools.bench.bench_inputs import newsbriefs
from tools.bench.timed_pairs import Case, Check

ROWS, BATCH, STEPS = 14_000, 32, 100
SEEDS, REAL_STEPS = 5, 300
"""Seeds and steps of the students whose accuracies are compared."""
MAX_GAP = 3.0
"""Accepted difference of mean accuracies, in points: two seeds of one implementation differ by as much."""
MAX_PIECES = 128
STUDENT = Student(architecture="kim")


@cache
def subwords() -> Subwords:
    """Return the packaged subword tokenizer and vectors."""
    return load_subwords(Path(packaged_subwords()))


def cases(accuracy: bool = True) -> list[Case]:
    """Return the case: Kim on 14,000 rows of real lengths; ``accuracy`` trains ten students to compare it."""
    devices.prepare(1, 0)
    listed, logits = training_rows()
    encoded, rows = PieceIds.of(listed), synthetic_targets(logits)  # as in the students stage
    settings = Training(batch_size=BATCH, min_steps=STEPS, max_steps=STEPS, token_dropout=0.0)

    def ours() -> float:
        train_student(network(0), encoded, rows, student=STUDENT, training=settings, seed=0)
        return BATCH * STEPS

    def theirs() -> float:
        plain_loop(plain_network(0), listed, logits, steps=STEPS, seed=0)
        return BATCH * STEPS

    checks = []
    if accuracy:
        checks = [Check("difference in accuracy points, five seeds", accuracy_gap(_one_by_one), MAX_GAP)]
    return [Case("training, Kim, 14,000 rows", "plain loop, padded batches", "rows", 4.0, ours, theirs, checks)]


def network(seed: int) -> torch.nn.Module:
    """Return an untrained Kim."""
    torch.manual_seed(seed)
    return build(subwords().vectors, STUDENT, len(newsbriefs()[0].label_names))


def training_rows() -> tuple[list[list[int]], torch.Tensor]:
    """Return 14,000 rows of real lengths, with random logits."""
    train, test = newsbriefs()
    pool = encode_pieces(subwords(), [*train.texts, *test.texts], MAX_PIECES)
    listed = [pool[i % len(pool)].tolist() for i in range(ROWS)]
    return listed, torch.randn(ROWS, len(train.label_names), generator=torch.Generator().manual_seed(0))


def synthetic_targets(logits: torch.Tensor) -> TrainingRows:
    """Return synthetic rows with these teacher logits."""
    return TrainingRows([""] * len(logits), None, logits, 0)


class PlainKim(Kim):
    """Kim in plain PyTorch."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        pooled = dense_max(embed(self.embedding, ids, mask), mask, self.convolutions)
        return self.classifier(self.dropout(pooled))


def plain_network(seed: int) -> torch.nn.Module:
    """Return the same untrained network in plain PyTorch."""
    torch.manual_seed(seed)
    return PlainKim(subwords().vectors, STUDENT, len(newsbriefs()[0].label_names))


def plain_loop(network: torch.nn.Module, encoded: Encoded, logits: torch.Tensor, *, steps: int, seed: int) -> None:
    """Train with a minimal loop: shuffled rows, batches padded to their longest row, Adam, KL loss.

    Network and logits are on one device, to which batches are moved.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(seed)
    network.train()
    order = rng.permutation(len(encoded))
    for step in range(steps):
        if step * BATCH % len(encoded) + BATCH > len(encoded):
            order = rng.permutation(len(encoded))
        first = step * BATCH % (len(encoded) - BATCH + 1)
        picks = order[first : first + BATCH]
        ids, mask = (part.to(logits.device) for part in pad_batch([encoded[i] for i in picks]))
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, 2 * (steps - step) / steps)
        output = torch.log_softmax(network(ids, mask.float()), 1)
        loss = functional.kl_div(output, torch.softmax(logits[picks], 1), reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


Students = Callable[[PieceIds, TrainingRows, Training], Sequence[torch.nn.Module]]
"""Trains students with seeds 0, 1, …, initialised by ``network``, and returns them."""


def accuracy_gap(ours: Students, seeds: int | None = None, device: torch.device = devices.CPU) -> float:
    """Return the difference of mean accuracies, in points, between students of ``ours`` and of the plain loop."""
    train, test = newsbriefs()
    encoded, unseen = (encode_pieces(subwords(), rows.texts, MAX_PIECES) for rows in (train, test))
    logits = 12.0 * functional.one_hot(torch.from_numpy(train.labels)).float()
    rows = TrainingRows(train.texts, None, logits, len(train.texts))
    settings = Training(batch_size=BATCH, min_steps=REAL_STEPS, max_steps=REAL_STEPS, token_dropout=0.0)
    others = [plain_network(seed).to(device) for seed in range(seeds or SEEDS)]
    for seed, other in enumerate(others):
        plain_loop(other, encoded, logits.to(device), steps=REAL_STEPS, seed=seed)
    right = [
        np.mean([predict_student(one.cpu(), unseen).argmax(1) == test.labels for one in students])
        for students in (ours(encoded, rows, settings), others)
    ]
    return 100 * abs(float(right[0] - right[1]))


def _one_by_one(encoded: PieceIds, rows: TrainingRows, settings: Training) -> list[torch.nn.Module]:
    students = [network(seed) for seed in range(SEEDS)]
    for seed, student in enumerate(students):
        train_student(student, encoded, rows, student=STUDENT, training=settings, seed=seed)
    return students

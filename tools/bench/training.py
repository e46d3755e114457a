"""Training a student: ours against a plain PyTorch loop over padded batches."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from gendist.config.student_settings import Student, Training
from gendist.nn import devices
from gendist.nn.padding import padded
from gendist.nn.pocket.packaged import packaged_subwords
from gendist.stages.students.architectures import build
from gendist.stages.students.architectures.kim import Kim
from gendist.stages.students.data import TrainingRows
from gendist.stages.students.pieces import Encoded, Pieces
from gendist.stages.students.run import encode
from gendist.stages.students.subwords import Subwords, load_subwords
from gendist.stages.students.train import student_logits, train_student
from tools.bench.material import newsbriefs
from tools.bench.pairs import Case, Check

ROWS, BATCH, STEPS = 14_000, 32, 100
SEEDS, REAL_STEPS = 5, 300
"""Of the students whose accuracies are compared."""
SPREAD = 3.0
"""Points of accuracy that the means over the seeds may lie apart: two seeds of one way differ by as much."""
MAX_PIECES = 128
STUDENT = Student(architecture="kim")


@cache
def subwords() -> Subwords:
    """Return the packaged pieces and vectors."""
    return load_subwords(Path(packaged_subwords()))


def cases(accuracy: bool = True) -> list[Case]:
    """Return the pair: Kim on 14,000 rows of real lengths; ``accuracy`` trains ten students to compare them."""
    devices.prepare(1, 0)
    listed, logits = material()
    encoded, rows = Pieces.of(listed), targets(logits)  # as a student's run holds them
    settings = Training(batch_size=BATCH, min_steps=STEPS, max_steps=STEPS, token_dropout=0.0)

    def ours() -> float:
        train_student(network(0), encoded, rows, STUDENT, settings, 0)
        return BATCH * STEPS

    def theirs() -> float:
        plain_loop(plain(0), listed, logits, STEPS, 0)
        return BATCH * STEPS

    checks = []
    if accuracy:
        checks = [Check("points of accuracy between the two, five seeds", points_apart(_one_by_one), SPREAD)]
    return [Case("training, Kim, 14,000 rows", "plain loop, padded batches", "rows", 4.0, ours, theirs, checks)]


def network(seed: int) -> torch.nn.Module:
    """Return Kim before its training."""
    torch.manual_seed(seed)
    return build(subwords().vectors, STUDENT, len(newsbriefs()[0].label_names))


def material() -> tuple[list[list[int]], torch.Tensor]:
    """Return 14,000 rows of real lengths, and logits for them that are random."""
    train, test = newsbriefs()
    pool = encode(subwords(), [*train.texts, *test.texts], MAX_PIECES)
    listed = [pool[i % len(pool)].tolist() for i in range(ROWS)]
    return listed, torch.randn(ROWS, len(train.label_names), generator=torch.Generator().manual_seed(0))


def targets(logits: torch.Tensor) -> TrainingRows:
    """Return rows to match these logits, synthetic ones."""
    return TrainingRows([""] * len(logits), None, logits, 0)


class PlainKim(Kim):
    """Kim as a tutorial would write it."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        return self.classifier(self.dropout(self.convolved(ids, mask)))


def plain(seed: int) -> torch.nn.Module:
    """Return the same network as a tutorial would write it."""
    torch.manual_seed(seed)
    return PlainKim(subwords().vectors, STUDENT, len(newsbriefs()[0].label_names))


def plain_loop(network: torch.nn.Module, encoded: Encoded, logits: torch.Tensor, steps: int, seed: int) -> None:
    """Train as a tutorial would: shuffled rows, each batch padded to its longest, Adam, the KL loss.

    Batches go to the device where the logits are; the network is there, too.
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
        ids, mask = (part.to(logits.device) for part in padded([encoded[i] for i in picks]))
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, 2 * (steps - step) / steps)
        output = torch.log_softmax(network(ids, mask.float()), 1)
        loss = functional.kl_div(output, torch.softmax(logits[picks], 1), reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


Students = Callable[[Pieces, TrainingRows, Training], Sequence[torch.nn.Module]]
"""Trains students of seeds 0, 1, …: Kim from ``network``, on the CPU when it returns them."""


def points_apart(ours: Students, seeds: int | None = None, device: torch.device = devices.CPU) -> float:
    """Return by how many points accuracies differ from the plain loop's, mean over seeds, students of the real rows."""
    train, test = newsbriefs()
    encoded, unseen = (encode(subwords(), rows.texts, MAX_PIECES) for rows in (train, test))
    logits = 12.0 * functional.one_hot(torch.from_numpy(train.labels)).float()
    rows = TrainingRows(train.texts, None, logits, len(train.texts))
    settings = Training(batch_size=BATCH, min_steps=REAL_STEPS, max_steps=REAL_STEPS, token_dropout=0.0)
    others = [plain(seed).to(device) for seed in range(seeds or SEEDS)]
    for seed, other in enumerate(others):
        plain_loop(other, encoded, logits.to(device), REAL_STEPS, seed)
    right = [
        np.mean([student_logits(one.cpu(), unseen).argmax(1) == test.labels for one in students])
        for students in (ours(encoded, rows, settings), others)
    ]
    return 100 * abs(float(right[0] - right[1]))


def _one_by_one(encoded: Pieces, rows: TrainingRows, settings: Training) -> list[torch.nn.Module]:
    students = [network(seed) for seed in range(SEEDS)]
    for seed, student in enumerate(students):
        train_student(student, encoded, rows, STUDENT, settings, seed)
    return students

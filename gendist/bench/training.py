"""Training a student: ours against a plain PyTorch loop over padded batches."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from gendist import devices
from gendist.bench.material import newsbriefs
from gendist.bench.pairs import Case, Check
from gendist.padding import padded
from gendist.pocket.packaged import packaged_subwords
from gendist.students.architectures import build
from gendist.students.architectures.kim import Kim
from gendist.students.data import TrainingRows
from gendist.students.pieces import Encoded, Pieces
from gendist.students.run import encode
from gendist.students.settings import Student, Training
from gendist.students.subwords import Subwords, load_subwords
from gendist.students.train import student_logits, train_student

ROWS, BATCH, STEPS = 14_000, 32, 100
SEEDS = 5
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
    train, test = newsbriefs()
    pool = encode(subwords(), [*train.texts, *test.texts], MAX_PIECES)
    listed = [pool[i % len(pool)].tolist() for i in range(ROWS)]
    encoded = Pieces.of(listed)  # as a student's run holds them
    logits = torch.randn(ROWS, len(train.label_names), generator=torch.Generator().manual_seed(0))
    rows = TrainingRows([""] * ROWS, None, logits, 0)
    settings = Training(batch_size=BATCH, min_steps=STEPS, max_steps=STEPS, token_dropout=0.0)

    def ours() -> float:
        train_student(_network(0), encoded, rows, STUDENT, settings, 0)
        return BATCH * STEPS

    def theirs() -> float:
        plain_loop(_plain(0), listed, logits, STEPS, 0)
        return BATCH * STEPS

    checks = [Check("points of accuracy between the two, five seeds", _apart(), SPREAD)] if accuracy else []
    return [Case("training, Kim, 14,000 rows", "plain loop, padded batches", "rows", 4.0, ours, theirs, checks)]


def _network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build(subwords().vectors, STUDENT, len(newsbriefs()[0].label_names))


class PlainKim(Kim):
    """Kim as a tutorial would write it."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        return self.classifier(self.dropout(self.convolved(ids, mask)))


def _plain(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return PlainKim(subwords().vectors, STUDENT, len(newsbriefs()[0].label_names))


def plain_loop(network: torch.nn.Module, encoded: Encoded, logits: torch.Tensor, steps: int, seed: int) -> None:
    """Train as a tutorial would: shuffled rows, each batch padded to its longest, Adam, the KL loss."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(seed)
    network.train()
    order = rng.permutation(len(encoded))
    for step in range(steps):
        if step * BATCH % len(encoded) + BATCH > len(encoded):
            order = rng.permutation(len(encoded))
        first = step * BATCH % (len(encoded) - BATCH + 1)
        picks = order[first : first + BATCH]
        ids, mask = padded([encoded[i] for i in picks])
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, 2 * (steps - step) / steps)
        output = torch.log_softmax(network(ids, mask.float()), 1)
        loss = functional.kl_div(output, torch.softmax(logits[picks], 1), reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _apart(steps: int = 300) -> float:
    """Return by how many points the accuracies differ, mean over the seeds, students of the real rows."""
    train, test = newsbriefs()
    encoded, unseen = (encode(subwords(), rows.texts, MAX_PIECES) for rows in (train, test))
    targets = 12.0 * functional.one_hot(torch.from_numpy(train.labels)).float()
    rows = TrainingRows(train.texts, None, targets, len(train.texts))
    settings = Training(batch_size=BATCH, min_steps=steps, max_steps=steps, token_dropout=0.0)
    differences = []
    for seed in range(SEEDS):
        mine, other = _network(seed), _plain(seed)
        train_student(mine, encoded, rows, STUDENT, settings, seed)
        plain_loop(other, encoded, targets, steps, seed)
        right = [float((student_logits(n, unseen).argmax(1) == test.labels).mean()) for n in (mine, other)]
        differences.append(100 * (right[0] - right[1]))
    return abs(float(np.mean(differences)))

"""What the students see: real rows beside synthetic ones, hidden pieces, and for how many steps."""

import numpy as np
import pytest
import torch

from gendist.config.student_settings import PAPER_TRAINING, Student, Training
from gendist.stages.students import length_batches as data
from gendist.stages.students import train_student as train
from gendist.stages.students.length_batches import apply_token_dropout, iter_batches, real_rows_per_batch
from gendist.stages.students.training_rows import TrainingRows


def test_real_rows_are_in_every_batch(monkeypatch):
    monkeypatch.setattr(data, "BUCKET_BATCHES", 3)
    encoded = [[i] * (1 + i % 7) for i in range(10 + 37)]
    seen = []
    for ids, mask, picks in iter_batches(encoded, 8, np.random.default_rng(0), n_real=10, n_real_per_batch=3):
        assert (picks < 10).sum() == 3
        assert [row[: int(n)].tolist() for row, n in zip(ids, mask.sum(1), strict=True)] == [encoded[i] for i in picks]
        seen += picks.tolist()
    counts = np.bincount(seen, minlength=47)
    assert (counts[10:] == 1).all()  # an epoch is one of the synthetic rows
    assert counts[:10].sum() == 3 * 8 and np.ptp(counts[:10]) <= 1  # the real ones share what that leaves evenly


@pytest.mark.parametrize(
    ("n_real", "n_rows", "share", "expected"),
    [
        (400, 2400, 0.5, 16),
        (400, 2400, None, 0),
        (400, 400, 0.5, 0),  # no synthetic rows
        (0, 2000, 0.5, 0),  # no real ones
        (5, 2000, 0.5, 5),
        (400, 2400, 0.001, 1),
        (400, 2400, 0.999, 31),
    ],
)
def test_rows_per_batch(n_real, n_rows, share, expected):
    assert real_rows_per_batch(n_real, n_rows, 32, share) == expected


def test_pieces_are_hidden_at_the_rate_asked_for():
    torch.manual_seed(0)
    ids, mask = torch.full((4000, 30), 7), torch.ones(4000, 30)
    mask[:, 20:] = 0
    hidden = apply_token_dropout(ids, mask, 0.2)
    assert set(hidden.unique().tolist()) == {0, 7} and (hidden[:, 20:] == 7).all()
    rates = (hidden[:, :20] == 0).float().mean(1)
    assert rates.mean().item() == pytest.approx(0.2, abs=0.01)
    assert rates.max() > 0.4 and (rates == 0).any()  # each row at a rate of its own
    assert (ids == 7).all()  # the rows themselves stay


@pytest.mark.parametrize(
    ("training", "n_real", "n_rows", "expected"),
    [
        (Training(), 400, 400, 300),  # few rows: the least
        (Training(epochs=8), 0, 1600, 400),
        (Training(epochs=8), 400, 1200, 400),  # half of each batch is synthetic
        (Training(epochs=8), 400, 14_000, 1500),  # many rows: the most
        (Training(epochs=8, max_steps=None), 400, 10_400, 5000),
        (Training(epochs=8), 1400, 14_000, 4200),  # many labelled rows: three steps for each
        (Training(epochs=8, max_steps=1500), 1400, 14_000, 1500),
        (Training(epochs=8), 1400, 1400, 700),  # at least one step for two labelled rows
        (Training(epochs=8, min_steps=300), 1400, 1400, 352),
        (Training(epochs=8), 0, 14_000, 1500),
        (PAPER_TRAINING, 400, 1200, 304),
    ],
)
def test_steps_follow_from_the_rows(training, n_real, n_rows, expected, monkeypatch):
    steps = []

    class Counted:
        def __init__(self, what, total, unit):
            steps.append(total)

        def update(self, count):
            raise StopIteration

    monkeypatch.setattr(train, "Progress", Counted)
    rows = TrainingRows([], torch.zeros(n_rows, dtype=torch.long), None, n_real)
    network = type("Net", (torch.nn.Module,), {"forward": lambda self, ids, mask: self.w.expand(len(ids), 2)})()
    network.w = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(StopIteration):
        train.train_student(network, [[1]] * n_rows, rows, student=Student(), training=training, seed=0)
    assert steps == [expected]


def test_the_paper_trains_on_the_rows_as_they_come(monkeypatch):
    seen = []

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(2))

        def forward(self, ids, mask):
            seen.append((ids == 0).logical_and(mask > 0).any().item())
            return self.w.expand(len(ids), 2)

    rows = TrainingRows([], torch.zeros(64, dtype=torch.long), None, 8)
    encoded = [[3, 4, 5]] * 64
    train.train_student(
        Net(), encoded, rows, student=Student(), training=PAPER_TRAINING.model_copy(update={"min_steps": 5}), seed=0
    )
    assert len(seen) == 16 and not any(seen)
    train.train_student(Net(), encoded, rows, student=Student(), training=Training(min_steps=5), seed=0)
    assert any(seen[16:])

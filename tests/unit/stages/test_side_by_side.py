"""Seeds of a student that are trained side by side: each ends where it would alone."""

import copy

import numpy as np
import pytest
import torch

from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.nn import devices
from gendist.nn.padding import pad_batch
from gendist.stages.students import train_stacked as side_by_side
from gendist.stages.students.architectures import build
from gendist.stages.students.length_batches import apply_token_dropout
from gendist.stages.students.loss import distillation_loss, label_loss, row_losses
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.stacked_networks import StackedNetworks, can_stack
from gendist.stages.students.train_stacked import train_stacked
from gendist.stages.students.train_student import predict_student, train_student
from gendist.stages.students.training_rows import TrainingRows

SEEDS = [3, 0, 7]
CLASSES = 3
EXACT = Training(batch_size=8, epochs=1, min_steps=30, max_steps=30, token_dropout=0.0)


@pytest.fixture
def float32(monkeypatch):
    """Differences are then those of the order of sums."""
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: False)


def student(architecture="kim", dropout=0.0, **changed):
    return Student(architecture=architecture, filters=8, dropout=dropout, **changed)


def networks(settings, seeds=SEEDS):
    built = []
    for seed in seeds:
        torch.manual_seed(seed)
        built.append(build(torch.randn(50, 12, generator=torch.Generator().manual_seed(1)), settings, CLASSES))
    return built


def rows(labels=False, count=45, n_real=45):
    """Rows of 1 to 20 pieces, in a number that leaves a short batch in each epoch, and targets that are random."""
    rng = np.random.default_rng(0)
    encoded = [rng.integers(0, 50, n).tolist() for n in rng.integers(1, 21, count)]
    gold = torch.from_numpy(rng.integers(0, CLASSES, count))
    logits = torch.from_numpy(rng.normal(0, 3, (count, CLASSES)).astype(np.float32))
    return encoded, TrainingRows([""] * count, gold if labels else None, None if labels else logits, n_real)


def together(settings, training, given, seeds=SEEDS):
    trained = networks(settings, seeds)
    train_stacked(trained, *given, student=settings, training=training, seeds=seeds, device=devices.CPU)
    return trained


def apart(settings, training, given, seeds=SEEDS):
    trained = networks(settings, seeds)
    for network, seed in zip(trained, seeds, strict=True):
        train_student(network, *given, student=settings, training=training, seed=seed)
    return trained


def distance(one, other):
    """The largest difference of any weight."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize(
    ("settings", "changed", "given"),
    [
        (student("kim"), {}, rows()),
        (student("kim"), {"temperature": 2.0}, rows(n_real=15)),  # real ones beside synthetic
        (student("kim"), {"max_steps": 3, "min_steps": 3}, rows()),  # less than an epoch
        (student("kim", learning_rate_factor=2.0), {}, rows()),
        (student("res"), {}, rows(labels=True)),
        (student("blend", distillation_loss="mae"), {}, rows()),
        (student("bag"), {}, rows(count=5)),  # all batches short
    ],
)
def test_each_seed_ends_where_it_would_alone(settings, changed, given):
    training = EXACT.model_copy(update=changed)
    start, both = networks(settings), [way(settings, training, given) for way in (together, apart)]
    for begun, mine, alone in zip(start, *both, strict=True):
        assert distance(mine, begun) > 2e-3  # it has learnt
        assert distance(mine, alone) < 1e-5
        assert np.abs(predict_student(mine, given[0]) - predict_student(alone, given[0])).max() < 1e-4
    assert all(distance(both[0][i], both[0][j]) > 0.01 for i in range(3) for j in range(i))


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("way", [together, apart])
def test_the_learning_rate_has_the_factor_of_the_student(way):
    training = EXACT.model_copy(update={"min_steps": 1, "max_steps": 1})
    moved = []
    for factor in (1.0, 0.5):
        settings = student(learning_rate_factor=factor)
        moved.append(distance(way(settings, training, rows())[0], networks(settings)[0]))
    assert moved == pytest.approx([1e-3, 5e-4], rel=1e-2)  # Adam's first step is the learning rate


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("way", [together, apart])
@pytest.mark.parametrize(("key", "value"), [("token_dropout", 0.4), ("real_share", 0.6)])
def test_token_dropout_and_share_of_real_rows_have_the_factors_of_the_student(way, key, value):
    given, changed = rows(n_real=15), EXACT.model_copy(update={key: value})
    halved = way(student(**{f"{key}_factor": 0.5}), changed, given)[0]
    assert distance(halved, way(student(), EXACT.model_copy(update={key: value / 2}), given)[0]) == 0
    for other in (EXACT, changed):
        assert distance(halved, way(student(), other, given)[0]) > 1e-3


@pytest.mark.parametrize("name", ["kim", "res", "blend", "bag"])
def test_a_stack_scores_as_its_networks_do(name):
    settings, encoded = student(name, dropout=0.5), rows()[0]
    built = networks(settings)
    for size in (4, 256):
        scored = StackedNetworks(built, devices.CPU).logits(encoded, size)
        assert scored.shape == (3, 45, CLASSES) and scored.dtype == np.float32
        expected = [predict_student(network, encoded) for network in built]
        np.testing.assert_allclose(scored, expected, atol=1e-5)


def test_dropout_and_hidden_pieces_differ_between_the_networks_and_repeat_themselves():
    for settings, hidden in ((student(dropout=0.5), 0.0), (student(), 0.4)):
        training = EXACT.model_copy(update={"token_dropout": hidden, "max_steps": 4, "min_steps": 4})
        same = networks(settings, [5, 5])  # of equal weights and orders
        train_stacked(same, *rows(), student=settings, training=training, seeds=[5, 5], device=devices.CPU)
        assert distance(*same) > 1e-3
        once, again, others = (together(settings, training, rows(), s) for s in ([1, 2], [1, 2], [2, 1]))
        assert distance(once[0], again[0]) == distance(once[1], again[1]) == 0
        assert distance(once[0], others[1]) > 0


def test_pieces_are_hidden_at_a_rate_of_each_row():
    ids, mask = torch.ones(2, 400, 50, dtype=torch.long), torch.ones(2, 400, 50)
    mask[..., 30:] = 0
    torch.manual_seed(0)
    hidden = apply_token_dropout(ids, mask, 0.2) == 0
    assert not hidden[..., 30:].any() and not torch.equal(hidden[0], hidden[1])
    shares = hidden[..., :30].float().mean(2)
    assert 0.18 < shares.mean() < 0.22 and shares.std() > 0.1  # of one rate for all, 0.07


def test_losses_of_rows_average_to_those_of_a_batch():
    generator = torch.Generator().manual_seed(0)
    mine, other = (torch.randn(2, 5, 3, generator=generator) for _ in range(2))
    labels = other.argmax(2)
    for kind, temperature in (("kl", 1.0), ("kl", 2.0), ("mae", 1.0)):
        found = row_losses(mine, other, kind, temperature).mean(1)
        expected = [distillation_loss(mine[i], other[i], kind, temperature) for i in range(2)]
        torch.testing.assert_close(found, torch.stack(expected))
    found = row_losses(mine, labels).mean(1)
    torch.testing.assert_close(found, torch.stack([label_loss(mine[i], labels[i]) for i in range(2)]))


def test_rows_on_a_device_are_padded_as_others_are():
    pieces, given = PieceIds.of(rows()[0]), rows()[1]
    held = side_by_side._DeviceRows.of(pieces, given, devices.CPU)
    picks = np.array([[3, 44, 0], [44, 44, 7]])
    for found, expected in zip(held.padded(torch.from_numpy(picks), 25), pieces.padded(picks.ravel()), strict=True):
        wide = torch.nn.functional.pad(expected, (0, 25 - expected.shape[1])).view(2, 3, 25)
        assert torch.equal(found, wide) and found.dtype == wide.dtype


def test_which_networks_can_be_stacked():
    assert [can_stack(networks(student(name))[0]) for name in ("kim", "res", "blend", "bag", "bilstm")] == [
        *[True] * 4,
        False,
    ]


def test_convolutions_of_all_kinds_are_stacked():
    class Several(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(50, 12)
            self.layers = torch.nn.ModuleList(
                torch.nn.Conv1d(12, 12, 3, **kind)
                for kind in (
                    {"padding": 1, "bias": False},
                    {"padding": "same"},
                    {"padding": 2, "dilation": 2},
                    {"padding": 1, "groups": 3},
                    {"padding": 1, "padding_mode": "circular"},
                    {"stride": 2},
                )
            )

        def forward(self, ids, mask):
            x = (self.embedding(ids) * mask[..., None]).transpose(1, 2)
            for layer in self.layers:
                x = torch.tanh(layer(x))
            return x.mean(2)

    several = [Several() for _ in range(2)]
    ids, mask = pad_batch([[1, 2, 3, 4, 5, 6, 7], [8, 9]])
    ids, mask = (torch.stack([part, part]) for part in (ids, mask.float()))
    with torch.autocast("cpu", enabled=False):
        stacked = StackedNetworks(several, devices.CPU).forward(ids, mask)
    torch.testing.assert_close(stacked, torch.stack([one(ids[0], mask[0]) for one in several]))


def test_training_side_by_side_leaves_no_trace_in_the_networks():
    settings = student(dropout=0.5)
    trained = together(settings, EXACT, rows())
    fresh = networks(settings)[0]
    assert [type(m) for m in trained[0].modules()] == [type(m) for m in fresh.modules()]
    assert not trained[0].dense_training and trained[0].convolutions[0].weight.device == devices.CPU
    assert copy.deepcopy(trained[0]).state_dict().keys() == fresh.state_dict().keys()


def test_divergence_of_one_network_ends_in_one_line():
    broken = networks(student())
    with torch.no_grad():
        broken[1].classifier.bias[0] = float("nan")
    with pytest.raises(GendistError, match="student training diverged; lower learning_rate"):
        train_stacked(broken, *rows(), student=student(), training=EXACT, seeds=SEEDS, device=devices.CPU)


@pytest.mark.parametrize(("name", "labels"), [("kim", False), ("res", True), ("blend", False), ("bag", True)])
def test_nothing_is_read_from_the_device_within_an_epoch(name, labels, monkeypatch):
    """On a device that holds no numbers: whatever looks at one fails, and so does what mixes it with the CPU."""
    steps = []

    def step(self, rate):
        assert all(t.device.type == "meta" for state in self.states for t in (*state, state[0].grad))
        steps.append(rate)

    monkeypatch.setattr(side_by_side.Adam, "step", step)
    monkeypatch.setattr(devices, "mixed_precision", lambda device: torch.autocast("cpu", enabled=False))
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)  # there is none for this device
    training = EXACT.model_copy(update={"token_dropout": 0.2})
    settings = student(name, dropout=0.5)
    with pytest.raises((RuntimeError, NotImplementedError), match=r"item\(\) cannot be called on meta tensors"):
        train_stacked(
            networks(settings),
            *rows(labels),
            student=settings,
            training=training,
            seeds=SEEDS,
            device=torch.device("meta"),
        )
    assert len(steps) == 6  # batches of 8 of 45 rows: the loss is looked at after them

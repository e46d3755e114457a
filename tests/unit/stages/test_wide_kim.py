"""Kim with wide vectors: it starts from a linear probe and is folded into the small Kim."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from gendist.config.student_settings import Student, Training
from gendist.nn import devices
from gendist.nn.padding import pad_batch
from gendist.nn.pocket.packaged_files import WORDPIECE
from gendist.stages.students.architectures import build
from gendist.stages.students.architectures.kim import Kim
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.initial_weights import network_builder
from gendist.stages.students.linear_probe import fit_linear_probe
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.stacked_networks import StackedNetworks, can_stack
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train_seeds import train_seeds
from gendist.stages.students.train_stacked import train_stacked
from gendist.stages.students.train_student import predict_student, train_student
from gendist.stages.students.training_rows import TrainingRows
from gendist.stages.students.wide_kim import FILTER_INPUT, MEAN_WIDTH, WideFeatures, WideKim

SETTINGS = Student(init="general")
USED = [3, 4, 5, 6, 7, 8, 9]
TEXTS = [
    "the striker scored twice in the final",
    "the goalkeeper saved a late penalty",
    "the bank raised its interest rates",
    "shares fell after weak earnings",
]


def features(width: int = 32, pieces: int = 30) -> WideFeatures:
    torch.manual_seed(0)
    return WideFeatures(torch.randn(pieces, width), SETTINGS.filters).eval()


def wide_kim(classes: int) -> tuple[WideKim, WideFeatures, torch.nn.Linear]:
    start = features()
    torch.manual_seed(1)
    probe = torch.nn.Linear(start.width, classes)
    return WideKim(start, USED, SETTINGS, probe), start, probe


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = pad_batch([[3, 4, 5, 6, 3, 9], [8], [7, 7, 4]])
    return ids, mask.float()


class TestWideKim:
    @pytest.mark.parametrize("classes", [2, MEAN_WIDTH])
    def test_starts_with_the_logits_of_the_probe(self, classes: int):
        network, start, probe = wide_kim(classes)
        expected = probe(torch.cat(start(*batch()), 1))
        torch.testing.assert_close(network.eval()(*batch()), expected, rtol=1e-4, atol=1e-4)

    def test_more_classes_than_columns_start_near_it(self):
        network, start, probe = wide_kim(MEAN_WIDTH + 6)
        with torch.no_grad():
            found, expected = network.eval()(*batch()), probe(torch.cat(start(*batch()), 1))
        assert not torch.allclose(found, expected, atol=1e-4)
        assert np.corrcoef(found.flatten(), expected.flatten())[0, 1] > 0.9

    @pytest.mark.parametrize("classes", [2, MEAN_WIDTH, MEAN_WIDTH + 6])
    def test_folds_into_the_small_kim_of_the_same_logits(self, classes: int):
        network = wide_kim(classes)[0]
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.01 * torch.randn(parameter.shape))
        kim = network.folded().eval()
        torch.testing.assert_close(kim(*batch()), network.eval()(*batch()), rtol=1e-4, atol=1e-4)
        narrow = torch.zeros(30, FILTER_INPUT + MEAN_WIDTH)
        plain = build(narrow, SETTINGS, classes)
        assert type(kim) is Kim
        assert {n: w.shape for n, w in kim.state_dict().items()} == {n: w.shape for n, w in plain.state_dict().items()}

    def test_pieces_that_were_not_trained_keep_their_vectors(self):
        network, start, _ = wide_kim(3)
        whole = WideKim(start, range(30), SETTINGS, wide_kim(3)[2])
        ids, mask = pad_batch([[20, 21, 3], [29, 4]])
        torch.testing.assert_close(network.folded().eval()(ids, mask.float()), whole.eval()(ids, mask.float()))

    def test_training_moves_the_pieces_that_it_sees_and_the_maps_of_all(self):
        torch.manual_seed(0)
        network = wide_kim(3)[0]
        rows = PieceIds.of([[3, 4], [5, 3, 3]] * 4)
        targets = TrainingRows([""] * 8, None, 5 * torch.randn(8, 3), 8)
        training = Training(batch_size=4, min_steps=5, max_steps=5, token_dropout=0.0)
        train_student(network, rows, targets, student=SETTINGS, training=training, seed=0)
        moved = network.offsets.abs().sum(1) > 0
        assert moved.tolist() == [piece in (3, 4, 5) for piece in sorted({0, *USED})]
        before, after = wide_kim(3)[0].folded().embedding.weight, network.folded().embedding.weight
        assert (before != after).any(1).all()

    def test_both_parts_of_the_folded_vectors_are_of_the_same_size(self):
        table = wide_kim(MEAN_WIDTH)[0].folded().embedding.weight.detach()
        parts = table[:, :FILTER_INPUT], table[:, FILTER_INPUT:]
        assert parts[0].square().mean().item() == pytest.approx(parts[1].square().mean().item(), rel=1e-4)

    def test_networks_of_several_seeds_can_be_stacked(self):
        network, _, _ = wide_kim(3)
        assert can_stack(network)
        logits = StackedNetworks([network, network], devices.CPU).logits([[3, 4, 5], [8]])
        ids, mask = pad_batch([[3, 4, 5], [8]])
        for found in logits:
            torch.testing.assert_close(torch.from_numpy(found), network.eval()(ids, mask.float()).detach())

    def test_stacked_training_ends_like_training_alone(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(devices, "cpu_has_bf16", lambda: False)
        settings = Student(init="general", dropout=0.0)
        rng = np.random.default_rng(0)
        encoded = PieceIds.of([rng.choice(USED, n).tolist() for n in rng.integers(1, 9, 30)])
        rows = TrainingRows([""] * 30, None, torch.from_numpy(rng.normal(0, 3, (30, 3)).astype(np.float32)), 30)
        training = Training(batch_size=8, min_steps=8, max_steps=8, token_dropout=0.0)
        given = {"student": settings, "training": training}
        start, _, probe = wide_kim(3)
        stacked = [WideKim(features(), USED, settings, probe) for _ in range(2)]
        train_stacked(stacked, encoded, rows, **given, seeds=[1, 2], device=devices.CPU)
        for network, seed in zip(stacked, [1, 2], strict=True):
            alone = WideKim(features(), USED, settings, probe)
            train_student(alone, encoded, rows, **given, seed=seed)
            for name, weight in alone.named_parameters():
                torch.testing.assert_close(network.state_dict()[name], weight.detach(), rtol=1e-3, atol=1e-4)
            assert not torch.equal(alone.classifier.weight, start.classifier.weight)


class TestLinearProbe:
    def test_is_the_logistic_regression_of_scikit_learn(self):
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 3, 90)
        given = rng.normal(size=(90, 5)).astype(np.float32) + np.eye(3, 5)[labels]
        unit = given / np.linalg.norm(given, axis=1).mean()
        oracle = LogisticRegression(C=1 / (2 * 0.01 * 90), max_iter=1000, tol=1e-8).fit(unit, labels)
        weights, biases = fit_linear_probe(given, np.eye(3)[labels], np.full(90, 7.0), l2=0.01)
        np.testing.assert_allclose(given @ weights.T + biases, oracle.decision_function(unit), atol=0.02)

    def test_soft_targets_and_row_weights_count_as_repeated_rows(self):
        given = np.array([[1.0, 0], [0, 1], [1, 1]], np.float32)
        soft = np.array([[0.75, 0.25], [0, 1], [0.5, 0.5]])
        hard = np.repeat(given, 4, 0), np.eye(2)[[0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1]], np.repeat([2.0, 1, 1], 4)
        one, other = fit_linear_probe(given, soft, np.array([2.0, 1, 1])), fit_linear_probe(*hard)
        np.testing.assert_allclose(one[0], other[0], rtol=1e-2, atol=1e-2)

    def test_does_not_depend_on_the_number_of_threads(self):
        rng = np.random.default_rng(0)
        given = rng.normal(size=(3000, 200)).astype(np.float32)
        targets = rng.dirichlet(np.ones(4), 3000)
        found = []
        for threads in (1, 2):
            with threadpool_limits(threads):
                found.append(fit_linear_probe(given, targets, np.ones(3000)))
        assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))


class TestGeneralKim:
    """With the packaged weights."""

    @pytest.mark.parametrize("labelled", [True, False])
    def test_knows_words_that_it_was_not_trained_on(self, labelled: bool):
        subwords = load_subwords(WORDPIECE)
        encoded = encode_pieces(subwords, TEXTS, 32)
        labels = torch.tensor([0, 0, 1, 1])
        logits = None if labelled else 4.0 * torch.eye(2)[labels]
        rows = TrainingRows(TEXTS, labels if labelled else None, logits, len(TEXTS))
        training = Training(min_steps=3, max_steps=3, batch_size=4)
        build_network = network_builder(subwords.vectors, SETTINGS, 2, encoded=encoded, rows=rows, training=training)
        unseen = encode_pieces(subwords, ["a midfielder kicked the ball", "investors sold bonds"], 32)
        assert not set(PieceIds.of([unseen[1]]).ids) & set(encoded.ids)
        trained = train_seeds(
            build_network, encoded, rows, student=SETTINGS, training=training, seeds=[0], device=devices.CPU
        )
        assert predict_student(trained[0], unseen).argmax(1).tolist() == [0, 1]
        assert sum(p.numel() for p in trained[0].parameters()) <= 1_130_000

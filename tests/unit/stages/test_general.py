"""General distillation: snippets, their embeddings, the students that learn them, and studies that start from these."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from gendist.config import study_from
from gendist.config.default_systems import GENERAL_SYSTEMS, PAPER_SYSTEMS
from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import EMBEDDINGS, MODELS, STUDENTS, SUBWORDS, WORDPIECE
from gendist.nn.pocket.weight_quantization import dequantize
from gendist.nn.pretrained import MINILM, load_tokenizer
from gendist.stages.baselines.sentence_encoder import SentenceEncoder
from gendist.stages.students.architectures import build
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.initial_weights import initial_weight_files, network_builder, wide_start
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.training_rows import TrainingRows
from tools.pocket import general_distillation as general
from tools.pocket import snippets
from tools.pocket.general_distillation import GeneralDistillation, distil_general, held_out_similarity
from tools.pocket.wordpiece_vectors import choose_pieces, reduced_vectors, restricted_tokenizer

pytest_plugins = ["pocket_fixtures"]

SETTINGS = GeneralDistillation(epochs=4, batch=16, held_out=40, checkpoint_steps=10)


@pytest.fixture(scope="module")
def texts(corpus: Path) -> list[str]:
    return snippets.draw_snippets([corpus], 200, held_out_articles=2)


@pytest.fixture(scope="module")
def shards(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return snippets.embed_snippets(texts, tmp_path_factory.mktemp("iter_snippets"))


@pytest.fixture(scope="module")
def distilled(shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distil_general(shards, WORDPIECE, tmp_path_factory.mktemp("students") / "kim.safetensors", SETTINGS)


class TestSnippets:
    def test_are_whole_sentences_cut_at_the_drawn_number_of_words(self):
        paragraph = "One two three four five. Six seven eight! Nine ten eleven twelve? Thirteen."
        found = list(snippets.iter_snippets(paragraph, Draws([7, 4, 60])))
        assert found == ["One two three four five. Six seven", "Nine ten eleven twelve?"]

    def test_differ_and_leave_the_held_out_articles_out(self, corpus: Path):
        everything = snippets.draw_snippets([corpus], 10_000, held_out_articles=0)
        later = snippets.draw_snippets([corpus], 10_000, held_out_articles=10)
        assert len(set(everything)) == len(everything) > len(later) > 0
        assert snippets.draw_snippets([corpus], 30, held_out_articles=0) == everything[:30]
        lengths = [len(text.split()) for text in everything]
        assert min(lengths) >= snippets.MIN_WORDS and max(lengths) <= snippets.MAX_WORDS

    def test_a_stopped_run_resumes_at_the_first_missing_shard(
        self, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(snippets, "SHARD_ROWS", 20)
        first = snippets.embed_snippets(texts[:60], tmp_path, part=0, parts=2)
        assert [file.name for file in first] == ["00000.parquet", "00002.parquet"]
        written = first[0].stat().st_mtime_ns
        files = snippets.embed_snippets(texts[:60], tmp_path)
        assert [file.name for file in files] == ["00000.parquet", "00001.parquet", "00002.parquet"]
        assert files[0].stat().st_mtime_ns == written
        read, vectors = snippets.read_snippets(files)
        assert read == texts[:60]
        assert np.abs(vectors - SentenceEncoder(MINILM).embed(texts[:60])).max() < 1e-3


class TestDistilGeneral:
    def test_comes_nearer_to_the_encoder_and_keeps_the_head_of_kim(self, distilled: Path, shards: list[Path]):
        weights = load_file(distilled)
        assert weights["embedding.weight"].shape == (26_880, 256) and weights["embedding.weight"].dtype == torch.int8
        assert weights["head.weight"].shape == (384, 300 + 256)
        curve = [
            json.loads(line)["held_out_cosine"] for line in distilled.with_suffix(".jsonl").read_text().splitlines()
        ]
        assert curve[-1] > curve[0]
        texts, vectors = snippets.read_snippets(shards)
        subwords, student = load_subwords(WORDPIECE), Student(init="general")
        start, head = wide_start(dequantize(weights), student, pieces=len(subwords.vectors), file=distilled)
        network = general.EmbeddingPredictor(start, 0.0, 384)
        pieces = encode_pieces(subwords, texts, 128)
        assert held_out_similarity(network, pieces, vectors, 40) < curve[-1] - 0.3
        network.head = head
        assert held_out_similarity(network, pieces, vectors, 40) == pytest.approx(curve[-1], abs=0.01)

    def test_other_students_drop_the_head(self, shards: list[Path], tmp_path: Path):
        settings = replace(SETTINGS, architecture="res", epochs=1)
        weights = load_file(distil_general(shards, SUBWORDS, tmp_path / "res.safetensors", settings))
        network = build(load_subwords(SUBWORDS).vectors, Student(architecture="res"), 384)
        kept = {name: value for name, value in network.state_dict().items() if not name.startswith("classifier.")}
        assert {name: value.shape for name, value in weights.items()} == {n: v.shape for n, v in kept.items()}
        assert all(value.dtype == torch.float16 for value in weights.values())

    def test_a_stopped_training_ends_like_an_unbroken_one(
        self, distilled: Path, shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        target = tmp_path / "kim.safetensors"
        with monkeypatch.context() as patched:
            patched.setattr(general, "held_out_similarity", stop_at(2))
            with pytest.raises(KeyboardInterrupt):
                distil_general(shards, WORDPIECE, target, SETTINGS)
        assert not target.exists()
        distil_general(shards, WORDPIECE, target, SETTINGS)
        assert target.read_bytes() == distilled.read_bytes()

    def test_a_finished_one_is_left_alone_and_other_settings_are_refused(self, distilled: Path, shards: list[Path]):
        written = distilled.stat().st_mtime_ns
        distil_general(shards, WORDPIECE, distilled, SETTINGS)
        assert distilled.stat().st_mtime_ns == written
        with pytest.raises(GendistError, match=r"kim\.checkpoint: made with .*delete it to start over"):
            distil_general(shards, WORDPIECE, distilled, replace(SETTINGS, epochs=5))

    def test_too_few_snippets_are_one_line(self, shards: list[Path], tmp_path: Path):
        with pytest.raises(GendistError, match="snippets, of which 5,000 are held out; raise --snippets"):
            distil_general(shards, WORDPIECE, tmp_path / "kim.safetensors", replace(SETTINGS, held_out=5000))
        assert list(tmp_path.iterdir()) == []


class TestWordpieces:
    def test_are_the_most_frequent_ones_with_the_encoders_ids(self):
        tokenizer = load_tokenizer(MINILM).backend_tokenizer
        texts = ["harbour harbour tide", "tide tide 7"]
        ids, counts = choose_pieces(tokenizer, texts, 1000)
        assert choose_pieces(tokenizer, texts, len(ids) - 1)[0] == ids[:-1]
        names = [tokenizer.id_to_token(i) for i in ids]
        assert names[:3] == ["[PAD]", "[UNK]", "a"] and names[-2:] == ["tide", "harbour"]
        assert len(set(names)) == len(names) and "[CLS]" not in names
        assert counts[-2:].tolist() == [3, 2] and counts[names.index("7")] == 1
        kept = Tokenizer.from_str(restricted_tokenizer(tokenizer, ids))
        encoded = kept.encode("Harbour tides", add_special_tokens=False)
        assert encoded.tokens == ["harbour", "tide", "##s"] and encoded.ids[0] == names.index("harbour")

    def test_near_words_have_near_vectors_and_frequent_ones_short_vectors(self):
        tokenizer = load_tokenizer(MINILM).backend_tokenizer
        ids = [tokenizer.token_to_id(piece) for piece in ("[PAD]", "ship", "boat", "algebra", "cup", "red", "seven")]
        vectors, components = reduced_vectors(ids, np.full(7, 1e-9), 4)
        np.testing.assert_allclose(components @ components.T, np.eye(4), atol=1e-5)
        assert vectors.shape == (7, 4) and vectors.dtype == np.float32 and not vectors[0].any()
        unit = vectors[1:] / np.linalg.norm(vectors[1:], axis=1, keepdims=True)
        assert unit[0] @ unit[1] > max(unit[0] @ unit[2:].T)
        frequent, _ = reduced_vectors(ids, np.array([1e-9, 1e-3, *[1e-9] * 5]), 4)
        np.testing.assert_allclose(frequent[1], vectors[1] / 2, rtol=1e-3)

    def test_the_packaged_ones_are_named_in_a_config_and_exist_for_kim_alone(self):
        assert Student(init="general").embeddings == "wordpiece" and Student().embeddings == "pocket"
        assert Student(init="general", architecture="res").embeddings == "pocket"
        subwords = load_subwords(WORDPIECE)
        assert subwords.vectors.shape == (26_880, 40) and not subwords.vectors[0].any()
        ((ship, *rest), unknown) = subwords.encode(["Ship, ahoy!", "\u6f6e"])
        assert unknown == [1] and ship > 1 and len(rest) >= 3


@pytest.mark.parametrize("architecture", ["kim", "res"])
class TestGeneralStart:
    def test_has_the_packaged_weights_and_about_the_size_of_the_papers_student(self, architecture: str):
        student = Student(architecture=architecture, init="general")
        network, vectors = started(student, 14)
        stored = load_file(MODELS / STUDENTS[architecture])
        if architecture == "kim":
            assert torch.equal(network.vectors, dequantize(stored)["embedding.weight"][:5])
            network = network.folded()
        else:
            weights = network.state_dict()
            assert all(torch.equal(weights[name], value.float()) for name, value in stored.items())
            assert set(weights) - set(stored) == {"classifier.weight", "classifier.bias"}
        plain = build(vectors, Student(architecture=architecture), 14)
        # Kim also pools the mean of its embeddings, 40 more weights for each of the 14 classes, and embeds positions.
        assert count(network) == count(plain) + {"kim": 560 + 6 * 40, "res": 0}[architecture] <= 1_130_000

    def test_weights_that_do_not_fit_are_one_line(
        self, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        file = tmp_path / "students" / f"{architecture}.safetensors"
        file.parent.mkdir()
        save_file({"embedding.weight": torch.zeros(3, 2)}, file)
        monkeypatch.setattr("gendist.stages.students.initial_weights.verified_file", lambda name, models: models / name)
        with pytest.raises(GendistError, match=rf"{architecture}\.safetensors: weights .* expected"):
            started(Student(architecture=architecture, init="general"), 4, tmp_path)

    def test_its_file_is_an_input(self, architecture: str):
        assert initial_weight_files(Student(architecture=architecture)) == {}
        started = initial_weight_files(Student(architecture=architecture, init="general"))
        assert started == {"general_start": MODELS / STUDENTS[architecture]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": "bag"}, "init: general needs architecture: kim or res, not bag"),
        ({"embeddings": "pocket"}, "init: general needs embeddings: wordpiece for kim, not pocket"),
        ({"architecture": "res", "embeddings": "wordpiece"}, "needs embeddings: pocket for res, not wordpiece"),
        ({"filters": 50}, "init: general needs filters: 100 for kim, not 50"),
    ],
)
def test_other_students_cannot_start_so(changed: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Student(init="general", **changed)


def test_default_rows_of_table_1_follow_the_students_of_the_config():
    dataset = {"train": "train.csv", "test": "test.csv"}
    plain = study_from({"datasets": {"d": dataset}}, "config.yaml")
    assert plain.systems == [*PAPER_SYSTEMS, *GENERAL_SYSTEMS]
    paper = {"kim": {}, "res": {"architecture": "res"}, "blend": {"architecture": "blend"}}
    assert study_from({"datasets": {"d": dataset}, "students": paper}, "config.yaml").systems == list(PAPER_SYSTEMS)
    students = {**paper, "kim-general": {"init": "general"}}
    own = study_from({"datasets": {"d": dataset}, "students": students}, "config.yaml")
    assert [name for name in own.systems if name not in PAPER_SYSTEMS] == list(GENERAL_SYSTEMS[::2])


class Draws:
    """Stands for a random generator: its numbers are given."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = iter(numbers)

    def integers(self, low: int, high: int) -> int:
        return next(self.numbers)


def stop_at(call: int):
    """Return a scoring function that is interrupted at its call of that number."""
    calls: Iterator[int] = iter(range(1, 100))

    def score(*arguments: object) -> float:
        if next(calls) == call:
            raise KeyboardInterrupt
        return 0.5

    return score


def started(student: Student, classes: int, models: Path = MODELS) -> tuple[torch.nn.Module, torch.Tensor]:
    """Build a student for two texts of the pieces 1 to 4; returns it and the vectors of its embeddings."""
    vectors = load_subwords(EMBEDDINGS[student.embeddings]).vectors
    rows = TrainingRows(["", ""], torch.tensor([0, 1]), None, 2)
    encoded = PieceIds.of([[1, 2], [3, 4]])
    build_network = network_builder(
        vectors, student, classes, encoded=encoded, rows=rows, training=Training(), models=models
    )
    return build_network(), vectors


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())

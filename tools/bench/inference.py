"""Classifying texts, from text to label: the exported student against other small, fast classifiers."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from gendist.config.student_settings import Training
from gendist.nn import devices
from gendist.nn.pocket.packaged_files import packaged_subwords
from gendist.predict.classifier import TextClassifier
from gendist.predict.exported_model import ExportedModel
from gendist.stages.baselines.sentence_encoder import SentenceEncoder
from gendist.stages.export.lookup_weights import lookup_weights
from gendist.stages.students.architectures import build
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.train_student import predict_student, train_student
from gendist.stages.students.training_rows import TrainingRows
from tools.bench.bench_inputs import newsbriefs
from tools.bench.timed_pairs import Case, Check
from tools.bench.training import MAX_PIECES, STUDENT, subwords

Predict = Callable[[Sequence[str]], Any]
TEXTS = 200
SIZE_LIMIT = 1.2e6
"""Maximum bytes of the exported int8 file."""


def cases() -> list[Case]:
    """Return the cases: one text and 200 texts per call, with NumPy and with Numba, against every other classifier."""
    devices.prepare(1, 0)
    train, test = newsbriefs()
    texts = test.texts[:TEXTS]
    model, checks = _student()
    students = {"": TextClassifier(model), ", compiled": TextClassifier(model, compiled=True)}
    others = {
        "TF-IDF + linear SVM": make_pipeline(TfidfVectorizer(sublinear_tf=True), LinearSVC())
        .fit(train.texts, train.labels)
        .predict,
        "floret": _floret(),
        "model2vec + logistic regression": _model2vec(),
        "MiniLM + logistic regression (as SetFit infers)": _encoder(),
    }
    listed = []
    for name, predict in others.items():
        for how, student in students.items():
            ours, theirs = _singly(student.predict, texts), _singly(predict, texts)
            listed.append(Case(f"inference, one text{how}", name, "texts", 1.0, ours, theirs, checks))
            ours, theirs = _at_once(student.predict, texts), _at_once(predict, texts)
            listed.append(Case(f"inference, 200 texts{how}", name, "texts", 1.0, ours, theirs))
    return listed


def _singly(predict: Predict, texts: Sequence[str]) -> Callable[[], float]:
    def work() -> float:
        for text in texts:
            predict([text])
        return float(len(texts))

    return work


def _at_once(predict: Predict, texts: Sequence[str]) -> Callable[[], float]:
    def work() -> float:
        predict(list(texts))
        return float(len(texts))

    return work


def _student(steps: int = 300) -> tuple[ExportedModel, list[Check]]:
    """Train Kim on the real rows and export it; return the model and checks of the export."""
    train, test = newsbriefs()
    torch.manual_seed(0)
    network = build(subwords().vectors, STUDENT, len(train.label_names))
    rows = TrainingRows(train.texts, torch.from_numpy(train.labels), None, len(train.texts))
    settings = Training(min_steps=steps, max_steps=steps)
    train_student(
        network, encode_pieces(subwords(), train.texts, MAX_PIECES), rows, student=STUDENT, training=settings, seed=0
    )
    content = lookup_weights(network)
    if content is None:
        raise TypeError("Kim cannot be exported as look-up tables")
    pieces = (Path(packaged_subwords()) / "tokenizer.json").read_text(encoding="utf-8")
    model = ExportedModel(b"", content, pieces, train.label_names, 1.0, MAX_PIECES, ["text"], " ")
    exact = predict_student(network, encode_pieces(subwords(), test.texts, MAX_PIECES)).argmax(1)
    logits = TextClassifier(model).logits(test.texts)
    changed = float(np.mean(logits.argmax(1) != exact))
    difference = float(np.abs(TextClassifier(model, compiled=True).logits(test.texts) - logits).max())
    return model, [
        Check("bytes of the int8 file", float(len(content)), SIZE_LIMIT),
        Check("share of texts with another class than in PyTorch", changed, 0.005),
        Check("difference of logits, NumPy and Numba", difference, 0.0),
    ]


def _floret() -> Predict:
    import floret

    from gendist.stages.baselines.fasttext import LABEL_PREFIX, SETTINGS, preprocess

    train, _ = newsbriefs()
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        source = Path(folder) / "train.txt"
        lines = [
            f"{LABEL_PREFIX}{label} {preprocess(text)}\n" for label, text in zip(train.labels, train.texts, strict=True)
        ]
        source.write_text("".join(lines), encoding="utf-8")
        model = floret.train_supervised(input=str(source), label=LABEL_PREFIX, verbose=0, **SETTINGS)
    return lambda texts: [model.f.predict(f"{preprocess(text)}\n", 1, 0.0, "strict") for text in texts]


def _model2vec() -> Predict:
    from gendist.stages.baselines.model2vec import distil_static, embed, load_static

    train, _ = newsbriefs()
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        distil_static(Path(folder) / "static")
        embeddings = load_static(Path(folder) / "static")
    regression = LogisticRegression(max_iter=1000).fit(embed(embeddings, train.texts), train.labels)
    return lambda texts: regression.predict(embed(embeddings, texts))


def _encoder() -> Predict:
    train, _ = newsbriefs()
    encoder = SentenceEncoder("minilm")
    regression = LogisticRegression(max_iter=1000).fit(encoder.embed(train.texts), train.labels)
    return lambda texts: regression.predict(encoder.embed(texts))

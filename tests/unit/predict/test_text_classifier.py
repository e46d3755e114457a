"""Predictions of an exported student: the class."""

import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prediction_texts import LABELS, TEXTS
from toy_texts import NAMES
from workflow_fixtures import ROOT

from gendist.errors import GendistError
from gendist.predict.classifier import TextClassifier

# --- the class ---


def test_labels_and_probabilities(classifier: TextClassifier):
    assert classifier.classes_.tolist() == NAMES
    shares = classifier.predict_proba(TEXTS)
    assert shares.shape == (60, 3)
    np.testing.assert_allclose(shares.sum(1), 1)
    labels = classifier.predict(TEXTS)
    assert labels.tolist() == [NAMES[i] for i in shares.argmax(1)]
    assert np.mean(labels == np.array(NAMES)[LABELS]) > 0.9


def test_probabilities_are_those_of_the_logits_over_the_temperature(classifier: TextClassifier):
    scaled = np.exp(classifier.logits(TEXTS).astype(float) / classifier.temperature)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), scaled / scaled.sum(1, keepdims=True), rtol=1e-6)
    assert classifier.temperature != 1


def test_a_text_has_the_same_result_in_any_company(exported: Path, classifier: TextClassifier):
    texts = [*TEXTS, "", "the " * 300, "  the wave\n", "the wave"]
    together = classifier.logits(texts)
    alone = np.concatenate([classifier.logits([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    pairs = TextClassifier.load(exported, threads=2, batch_size=2)
    np.testing.assert_allclose(pairs.logits(texts[::-1])[::-1], together, atol=1e-5)
    assert (together[-1] == together[-2]).all()  # blanks around a text do not count, as in training


@pytest.mark.parametrize("way", [{}, {"compiled": True}, {"tables": False}, {"int8": False}], ids=str)
def test_a_text_of_unknown_pieces_is_as_unsure_as_an_empty_one(exported: Path, way: dict[str, bool]):
    loaded = TextClassifier.load(exported, **way)
    unknown = ["\U0001f600", "\U0001f600 \U0001f680\U0001f680 \u6d77", "\u6d77 " * 300]
    shares = loaded.predict_proba([*unknown, "", "\U0001f600 wave"])
    np.testing.assert_allclose(shares[:3], np.repeat(shares[3:4], 3, 0), rtol=1e-6)
    assert np.abs(shares[4] - shares[3]).max() > 0.01  # one known piece, and the text counts
    # Without the rule, the piece of the unknown decides.
    ids = loaded.tokenizer.encode(unknown[:1])
    assert np.abs(loaded.network.logits(ids) - loaded.logits([""])).max() > 1e-3


def test_no_texts_give_no_rows_and_what_is_no_text_is_refused(classifier: TextClassifier):
    assert classifier.predict([]).shape == (0,) and classifier.predict_proba([]).shape == (0, 3)
    with pytest.raises(TypeError, match=r"write \[text\]"):
        classifier.predict("a wave")
    with pytest.raises(TypeError, match="text 1 is of type NoneType"):
        classifier.predict(["a wave", None])  # type: ignore[list-item]


def test_threads_share_an_instance(classifier: TextClassifier):
    expected, found = classifier.logits(TEXTS), []
    workers = [threading.Thread(target=lambda: found.append(classifier.logits(TEXTS))) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8 and all(np.allclose(logits, expected, atol=1e-5) for logits in found)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("gendist-model.json", None, "no exported model"),
        ("gendist-model.json", b"{", r"gendist-model\.json: cannot be read"),
        ("gendist-model.json", b'{"format": 1}', r"gendist-model\.json: damaged"),
        (
            "gendist-model.json",
            b'{"format": 99}',
            "format 99 is not supported; this gendist reads up to 2, install a newer one",
        ),
        ("look-up.safetensors", None, r"look-up\.safetensors: no such file"),
        ("look-up.safetensors", b"half", r"look-up\.safetensors: damaged, or from another export"),
        ("tokenizer.json", b"{}", r"tokenizer\.json: damaged, or from another export"),
    ],
)
def test_a_damaged_folder_is_named(exported: Path, tmp_path: Path, file: str, content: bytes | None, message: str):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(GendistError, match=message):
        TextClassifier.load(folder)


BARE = """
import sys
for name in ("torch", "transformers", "pandas", "sklearn", "scipy", "pydantic", "pyarrow", "onnx", "snakemake", "yaml"):
    sys.modules[name] = None
from gendist.predict.classifier import TextClassifier
print(TextClassifier.load(sys.argv[1]).predict([sys.argv[2]])[0])
del sys.modules["pydantic"]  # typer may use it
from gendist.cli.app import main
sys.argv[1:] = ["predict", sys.argv[1], sys.argv[3]]
main()
"""


def test_predicting_needs_no_heavy_package(exported: Path, tmp_path: Path):
    (tmp_path / "texts.csv").write_text("text\nthe root worm clay\n")
    command = [sys.executable, "-c", BARE, str(exported), "the root worm clay", str(tmp_path / "texts.csv")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    label, header, row = result.stdout.splitlines()
    assert label == "soil" and header == "row,label,probability" and row.startswith("0,soil,0.")


# --- the page about it ---


def test_the_server_of_the_documents_answers(exported: Path):
    page = (ROOT / "docs/deploy.md").read_text()
    (program,) = re.findall(r"^```python\n(# server\.py\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "server"}
    exec(program.replace('"model"', repr(str(exported))), names)
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Predict"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        body = json.dumps({"texts": ["the wave", "the moon"]}).encode()
        with urllib.request.urlopen(urllib.request.Request(address, body)) as answer:
            found = json.load(answer)
        assert [row["label"] for row in found["predictions"]] == ["sea", "sky"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address, b'{"texts": 3}'))
        assert refused.value.code == 400
        refused.value.close()
    finally:
        server.shutdown()
        server.server_close()

"""The exported classifier's page in headless Chromium: it predicts and writes what Python does."""

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Page, open_chromium
from page_models import FILTERS, untrained_model
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from toy_texts import sentences
from typer.testing import CliRunner
from unicode_texts import unicode_texts

from gendist.cli.app import app
from gendist.nn.pocket.packaged_files import EMBEDDINGS, packaged_subwords
from gendist.predict.cached_tokenizer import CachedTokenizer
from gendist.predict.classifier import TextClassifier
from gendist.predict.exported_model import TOKENIZER
from gendist.stages.export.classifier_page.write_page import write_page

HOSTILE = "</script><img src=x onerror=alert(1)>"
LABELS = ["sport", HOSTILE, "=1+1"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("hostile") / "model", "kim", labels=LABELS, filters=16)


@pytest.fixture
def page(browser: Page, hostile: Path) -> Page:
    return opened(browser, hostile)


def opened(browser: Page, model: Path) -> Page:
    """Write the page of a model and open it."""
    file = model.parent / "page.html"
    if not file.exists():
        write_page(model, file)
    browser.messages.clear()
    browser.open(file)
    browser.evaluate("started.then(() => 0)")
    return browser


def with_classifier(page: Page, expression: str, *values: object) -> object:
    """The value of an expression of ``classifier``, ``tableView`` and ``values``."""
    parts = "{ classifier, tableView }"
    return page.evaluate(f"started.then(({parts}) => {{ const values = {json.dumps(values)}; return {expression}; }})")


def type_into(page: Page, field: str, text: str) -> None:
    page.evaluate(
        f"(() => {{ const field = document.getElementById({json.dumps(field)}); field.value = {json.dumps(text)};"
        "field.dispatchEvent(new Event('input')); })()"
    )


def cells_of(page: Page, body: str) -> list[list[str]]:
    """The cells of a table."""
    rows = f"[...document.getElementById({json.dumps(body)}).rows]"
    return page.evaluate(f"{rows}.map((row) => [...row.cells].map((cell) => cell.textContent))")


def probabilities(page: Page, texts: list[str]) -> np.ndarray:
    """The page's probabilities of texts, (texts, classes)."""
    found = with_classifier(page, "values[0].map((text) => classifier.classify(text).probabilities)", texts)
    return np.array(found)


def text_of(page: Page, element: str) -> str:
    return page.evaluate(f"document.getElementById({json.dumps(element)}).textContent")


# --- the same predictions as Python ---


@pytest.mark.parametrize(
    ("architecture", "init"), [*((name, "vectors") for name in sorted(FILTERS)), ("kim", "general"), ("res", "general")]
)
def test_every_student_predicts_as_in_python(browser: Page, tmp_path: Path, architecture: str, init: str):
    model = untrained_model(tmp_path / "model", architecture, init=init)
    page = opened(browser, model)
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    texts = sentences(150, 0)[0] + unicode_texts(100)
    texts = texts if architecture in ("kim", "res") else texts[::6]
    expected = TextClassifier.load(model).predict_proba(texts)
    found = probabilities(page, texts)
    assert np.abs(found - expected).max() < 1e-4
    assert found.argmax(1).tolist() == expected.argmax(1).tolist()
    assert len(set(found.argmax(1).tolist())) > 1 and page.messages == []


def test_a_trained_student_predicts_as_in_python(browser: Page, exported: Path, tmp_path: Path):
    write_page(exported, tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    texts = sentences(300, 1)[0]
    expected = TextClassifier.load(exported).predict_proba(texts)
    found = probabilities(browser, texts)
    assert np.abs(found - expected).max() < 1e-4
    assert found.argmax(1).tolist() == expected.argmax(1).tolist()


def word_pieces() -> str:
    """A WordPiece tokenizer of BERT's kind."""
    letters = [chr(code) for code in range(33, 127)] + ["中"]
    vocab = ["[PAD]", "[UNK]", *letters, *(f"##{letter}" for letter in letters), "the", "goal", "##oal", "##er"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", AddedToken("[UNK]x", special=True)])
    return tokenizer.to_str()


@pytest.mark.parametrize("kind", ["pocket", "wordpiece", "few pieces"])
def test_pieces_are_those_of_the_tokenizers_library(browser: Page, tmp_path: Path, kind: str):
    packaged = kind in EMBEDDINGS
    content = (packaged_subwords(name=kind) / TOKENIZER).read_text(encoding="utf-8") if packaged else word_pieces()
    model = untrained_model(tmp_path / "model", "bag", filters=4, tokenizer=content)
    texts = unicode_texts()
    found = with_classifier(opened(browser, model), "values[0].map((t) => classifier.tokenizer.encode(t).ids)", texts)
    tokenizer = CachedTokenizer(content)
    for text, ids, expected in zip(texts, found, tokenizer.encode([text.strip() for text in texts]), strict=True):
        known = expected[:128] if tokenizer.has_known_piece(expected[:128]) else np.zeros(1)
        assert ids == known.tolist(), repr(text)


# --- one text ---


def test_a_text_shows_classes_and_the_words_that_decided(page: Page, hostile: Path):
    text = "The keeper saved, twice; goals decided 決勝 the final."
    type_into(page, "text", text)
    page.wait_for("document.getElementById('explanation-note').textContent.startsWith('With')")
    classifier = TextClassifier.load(hostile)
    shares = classifier.predict_proba([text])[0]
    order, best = np.argsort(-shares), shares.argmax()
    rows = cells_of(page, "classes")
    assert rows == [[LABELS[i], f"{100 * shares[i]:.1f} %"] for i in order]
    words = ["The", "keeper", "saved", "twice", "goals", "decided", "決", "勝", "the", "final"]
    found = with_classifier(
        page, "[...classifier.leaveOneOut(values[0], values[1], classifier.wordsRead(values[0]))]", text, int(best)
    )
    assert [text[place["start"] : place["end"]] for place in found] == words
    shorter = [f"{text[: place['start']]} {text[place['end'] :]}" for place in found]
    without = classifier.predict_proba(shorter)[:, best]
    np.testing.assert_allclose([place["without"] for place in found], without, atol=1e-4)
    changes = sorted(zip(np.abs(without - shares[best]), words, without, strict=True), reverse=True)
    shown = cells_of(page, "words")
    assert shown[0][:2] == [changes[0][1], f"{100 * changes[0][2]:.1f} %"]
    assert text_of(page, "marked-text") == text
    page.wait_for("document.getElementById('answer-spoken').textContent !== ''")
    assert text_of(page, "answer-spoken") == f"{LABELS[best]}, {100 * shares[best]:.1f} %"
    assert page.evaluate("document.images.length") == 0 and page.messages == []


def test_unknown_and_long_texts_are_marked(page: Page):
    type_into(page, "text", "😀")
    assert "knows no part of this text" in text_of(page, "text-notes")
    assert page.evaluate("document.getElementById('explanation').hidden")
    type_into(page, "text", "word " * 200)
    assert "Only the first 128 words were read" in text_of(page, "text-notes")
    assert page.evaluate("document.querySelector('.unread').textContent.trim().split(' ').length") == 72
    type_into(page, "text", " ")
    assert page.evaluate("document.getElementById('answer').hidden") and text_of(page, "text-notes") == ""


def test_fields_have_labels_and_the_page_fits_a_phone(page: Page):
    unlabelled = (
        "[...document.querySelectorAll('input, textarea, select')].filter((field) => !field.labels.length).length"
    )
    assert page.evaluate(unlabelled) == 0
    page.send("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    type_into(page, "text", "a" * 300)
    type_into(page, "rows", "text,other\n" + "b" * 300 + ",c\n")
    page.evaluate("document.getElementById('classify').click()")
    page.wait_for("!document.getElementById('answers').hidden")
    width = page.evaluate("document.documentElement.scrollWidth")
    page.send("Emulation.clearDeviceMetricsOverride")
    assert width == 390


# --- many texts ---

TABLE = 'id,text,label\n-5,"the cup, ""final""\nwent to penalties",=2+3\n@x,parliament passed the budget,+1.5\n7,,b\n'


def test_the_answers_are_those_of_gendist_predict(page: Page, hostile: Path, tmp_path: Path):
    drop = (
        "const data = new DataTransfer(); data.items.add(new File([values[0]], 'my table.csv'));"
        "document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }))"
    )
    page.evaluate(f"(() => {{ const values = {json.dumps([TABLE])}; {drop}; }})()")
    page.wait_for("!document.getElementById('options').hidden")
    assert text_of(page, "source-summary") == "my table.csv: 3 rows, 3 columns."
    for option in ("every-class", "guard"):
        page.evaluate(f"document.getElementById('{option}').click()")
    page.evaluate("document.getElementById('classify').click()")
    page.wait_for("!document.getElementById('answers').hidden")
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    files = [str(tmp_path / "table.csv"), "-o", str(tmp_path / "out.csv")]
    command = ["predict", str(hostile), *files, "--all", "--keep", "all"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    expected = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    found = list(csv.reader(io.StringIO(with_classifier(page, "tableView.csv()"))))
    labels = expected[0].index("probability")
    assert [row[:labels] for row in found] == [row[:labels] for row in expected]
    shares = [np.array([row[labels:] for row in rows[1:]], float) for rows in (found, expected)]
    np.testing.assert_allclose(*shares, atol=1e-4)
    assert page.evaluate("document.images.length") == 0 and page.messages == []


def test_answers_are_downloaded_as_a_file(page: Page, tmp_path: Path):
    page.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    type_into(page, "rows", "text\nthe cup final\n")
    page.evaluate("document.getElementById('classify').click()")
    page.wait_for("!document.getElementById('answers').hidden")
    page.evaluate("document.getElementById('download').click()")
    file, end = tmp_path / "pasted-rows-labels.csv", time.monotonic() + 60
    while not (file.is_file() and file.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    assert file.read_text(encoding="utf-8-sig") == with_classifier(page, "tableView.csv()")
    assert file.read_bytes().startswith(b"\xef\xbb\xbfrow,text,label,probability\n0,the cup final,")


def test_cells_that_spreadsheets_would_run_are_guarded(page: Page):
    line = with_classifier(page, "csvLine(values[0], true)", ["=1", "@a", "-5", "+1.5e3", "-a", "a=b", 'x"y', ""])
    assert line == '\'=1,\'@a,-5,+1.5e3,\'-a,a=b,"x""y",\n'


@pytest.mark.parametrize(
    ("text", "delimiter", "header", "columns"),
    [
        ("text,b\nx,y\n", ",", True, ["0"]),
        ("id\tbody\n1\ta long text\n", "\t", True, ["1"]),
        ("a;text\n1;x, y\n", ";", True, ["1"]),
        ("Hello, world\nGood day, all\n", "", False, ["0"]),
        ("one text\nanother\n", "", False, ["0"]),
        ("text\none text\n", "", True, ["0"]),
    ],
    ids=["comma", "tab", "semicolon", "prose", "lines", "one column"],
)
def test_the_delimiter_the_header_and_the_text_are_found(
    page: Page, text: str, delimiter: str, header: bool, columns: list[str]
):
    type_into(page, "rows", text)
    assert page.evaluate("document.getElementById('delimiter').value") == delimiter
    assert page.evaluate("document.getElementById('header').checked") is header
    assert page.evaluate("[...document.querySelectorAll('#columns input:checked')].map((box) => box.value)") == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,b\nx,y\nx,y,z\n", "pasted rows: line 3 has 3 cells, the first line 2."),
        ('text,b\n"x,y,z\nz,w\n', "pasted rows: line 2: a quote is never closed."),
    ],
    ids=["ragged", "quote"],
)
def test_a_broken_table_names_its_line(page: Page, text: str, message: str):
    type_into(page, "rows", text)
    assert text_of(page, "table-problem").startswith(message)
    assert page.evaluate("document.getElementById('classify').disabled")


def test_files_that_are_no_tables_are_refused(page: Page):
    with_classifier(page, "tableView.readFile(new File([new Uint8Array([80, 75, 0, 4])], 'a.xlsx'))")
    assert text_of(page, "table-problem") == "a.xlsx cannot be read: it is no text file; save a spreadsheet as CSV."
    with_classifier(page, "tableView.readFile(new File([new Uint8Array([99, 97, 102, 233])], 'a.txt'))")
    assert text_of(page, "source-summary").startswith(
        "a.txt: 1 row, 1 column. It is not UTF-8 and was read as Windows-1252"
    )

"""The exported classifier as one HTML page: its content, and what it refuses."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from page_models import untrained_model
from tokenizers import Tokenizer
from typer.testing import CliRunner
from unicode_texts import unicode_texts

from gendist.cli.app import app
from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json
from gendist.nn.pocket.packaged_files import packaged_subwords
from gendist.predict.exported_model import DESCRIPTION, TOKENIZER
from gendist.stages.export.classifier_page.page_mark import is_classifier_page
from gendist.stages.export.classifier_page.page_tokenizer import UNKNOWN, PageTokenizer, page_tokenizer
from gendist.stages.export.classifier_page.unsupported_model_error import UnsupportedModelError
from gendist.stages.export.classifier_page.write_page import encode_base85, pack_arrays, write_notice, write_page

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(
        tmp_path_factory.mktemp("page") / "model", "kim", labels=[HOSTILE, "b", "c"], dataset=f"news{HOSTILE}"
    )


@pytest.fixture(scope="module")
def page(model: Path) -> str:
    write_page(model, model.parent / "page.html")
    return (model.parent / "page.html").read_text(encoding="utf-8")


def test_a_page_is_one_small_file_that_may_not_reach_a_network(page: str):
    assert len(page.encode()) < 2_000_000
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(scripts) == len(styles) == 1
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (*scripts, *styles)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; base-uri 'none'; "
        "form-action 'none'"
    )
    readable = re.sub(r'<script type="text/plain".*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"<[^>]*\b(src|href)=|https?:|@import|url\(", readable)
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert unsafe not in scripts[0]


def test_a_page_states_the_accuracy_on_the_test_rows(page: str):
    assert "77.0 % of 1,500 test texts" in " ".join(page.split())


def test_names_of_classes_and_datasets_are_no_markup(page: str):
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert "news&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;: text classifier</title>" in page


def test_equal_models_give_equal_pages(model: Path, page: str, tmp_path: Path):
    write_page(model, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_data_has_no_markup_and_arrays_lie_on_multiples_of_eight():
    data = bytes(range(256)) * 40
    text = encode_base85(data)
    assert not set(text) & set("<'\"\\/")
    assert base64.b85decode(text.replace("\n", "").replace(",", "<"))[: len(data)] == data
    arrays = {"a": np.arange(3, dtype=np.int8), "b": np.array([[1.5], [2]], np.float32)}
    packed = pack_arrays({"labels": ["é"]}, arrays)
    size = int.from_bytes(packed[:4], "little")
    header = json.loads(packed[4 : 4 + size])
    assert (4 + size) % 8 == 0 and header["labels"] == ["é"]
    assert header["arrays"] == {"a": ["int8", [3], 0], "b": ["float32", [2, 1], 8]}
    assert np.frombuffer(packed[4 + size + 8 :], "<f4").tolist() == [1.5, 2]


# --- tokenizer ---


def outputs_of(tokenizer: PageTokenizer) -> dict[str, str]:
    """What the table makes of each character in it."""
    found = {}
    for first, count, index in tokenizer.arrays["characters"].tolist():
        for character in map(chr, range(first, first + count)):
            output = tokenizer.settings["outputs"][index]
            found[character] = f" {character} " if output is None else output
    return found


def words_of(tokenizer: Tokenizer, text: str, letters: set[str]) -> Iterator[str]:
    """The words of the tokenizers library, with a mark for each letter that no piece has."""
    for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
        yield "".join(letter if letter in letters else UNKNOWN for letter in word)


def test_the_table_of_characters_splits_texts_as_the_tokenizer_does():
    content = (packaged_subwords() / TOKENIZER).read_text(encoding="utf-8")
    found, reference = page_tokenizer(content), Tokenizer.from_str(content)
    letters = {letter for piece in found.settings["pieces"] for letter in piece.removeprefix("##")}
    outputs = outputs_of(found)
    assert [outputs[c] for c in "\u00c9\u4e2d\u200b\t7!"] == ["e", " 中 ", "", " ", "0", " ! "]
    assert len(found.arrays["characters"]) < 10_000
    for text in unicode_texts(50):
        split = "".join(outputs.get(character, character) for character in text).split(" ")
        words = ["".join(c if c in letters else UNKNOWN for c in word) for word in split if word]
        assert words == list(words_of(reference, text, letters)), repr(text)


def test_pieces_merges_and_white_space_are_those_of_the_tokenizer():
    content = (packaged_subwords() / TOKENIZER).read_text(encoding="utf-8")
    model, found = json.loads(content)["model"], page_tokenizer(content)
    pieces = found.settings["pieces"]
    assert {piece: i for i, piece in enumerate(pieces)} == model["vocab"]
    assert [[pieces[a], pieces[b]] for a, b in found.arrays["merges"].tolist()] == model["merges"]
    assert found.settings["unknown"] == model["vocab"]["[UNK]"]
    assert found.settings["strip"] == "".join(c for c in map(chr, range(0x110000)) if c.isspace())


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"model": {"fuse_unk": True}},
        {"added_tokens": [{"single_word": True}]},
    ],
    ids=["pre-tokenizer", "option", "added token"],
)
def test_tokenizers_that_a_page_cannot_reproduce_are_refused(change: dict):
    parsed = json.loads((packaged_subwords() / TOKENIZER).read_text(encoding="utf-8"))
    for part, values in change.items():
        if part == "added_tokens":
            parsed[part][0] |= values[0]
        else:
            parsed[part] |= values
    with pytest.raises(UnsupportedModelError, match=r"tokenizer \(Sequence, .*, BPE\): a page supports"):
        page_tokenizer(json.dumps(parsed))


# --- what cannot be written ---


def test_a_network_without_an_implementation_is_refused(model: Path, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    write_json(folder / DESCRIPTION, read_json(folder / DESCRIPTION) | {"architecture": "mine"})
    with pytest.raises(UnsupportedModelError, match="'mine': a page supports bag, bilstm, blend, kim, res"):
        write_page(folder, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_notice_says_why_and_is_no_classifier(tmp_path: Path):
    write_notice(tmp_path / "page.html", f"tokenizer {HOSTILE}")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<p>tokenizer &lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;.</p>" in text
    assert not is_classifier_page(tmp_path / "page.html")


def test_a_page_larger_than_its_limit_is_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gendist.stages.export.classifier_page.write_page.MAX_PAGE_BYTES", 1_000_000)
    with pytest.raises(GendistError, match=r"its page would have 1\.\d MB, more than 1 MB"):
        write_page(model, tmp_path / "page.html")


# --- the command ---


def test_the_command_writes_the_page_of_a_stored_model(model: Path, page: str, tmp_path: Path):
    target = tmp_path / "new" / "reviews.html"
    for _ in range(2):  # replaces its own page
        result = CliRunner().invoke(app, ["export", "--model", str(model), "--html", str(target)])
        assert result.exit_code == 0, result.output
    assert target.read_text(encoding="utf-8") == page
    assert "reviews.html: page of 1." in result.output.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--html", "notes.html"], "notes.html: exists and is not a classifier's page"),
        (["--html", "page.txt"], "page.txt: a page needs a name that ends in .html"),
        (["--to", "folder"], "--model FOLDER needs --html PAGE and takes no config and no other option"),
        (["--html", "new.html", "--dataset", "toy"], "--model FOLDER needs --html PAGE and takes no config"),
    ],
    ids=["another file", "suffix", "no page", "dataset"],
)
def test_the_command_overwrites_no_other_file(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    Path("notes.html").write_text("<p>mine</p>", encoding="utf-8")
    with pytest.raises(GendistError, match=re.escape(message)):
        CliRunner().invoke(app, ["export", "--model", str(model), *options], catch_exceptions=False)
    assert Path("notes.html").read_text(encoding="utf-8") == "<p>mine</p>" and len(list(tmp_path.iterdir())) == 1

"""What docs/security.md promises of texts: nothing that was generated is more than text."""

import csv
import html.parser
import io
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import study_fixtures
from bad_inputs import BOUNDED
from hypothesis import given
from hypothesis import strategies as st
from study_fixtures import finish, predictions, sources, study_in

from gendist.analysis.cards.write_cards import write_cards
from gendist.analysis.generated_rows import GeneratedPool
from gendist.analysis.quality.samples_page import samples_page
from gendist.analysis.report.compare_studies import compare_studies, read_studies, write_comparison
from gendist.analysis.report.system_details import write_details
from gendist.analysis.report.table3 import write_table3
from gendist.analysis.report_page.write_report import write_report
from gendist.io import escape

PAYLOADS = [
    "=cmd|' /C calc'!A0",
    "+1+cmd|'x'!A1",
    "-2+3+cmd|'x'!A1",
    "@SUM(1+1)*cmd|'x'!A1",
    "\t=1+1",
    "  =1+1",
    "\uff1d1+1",
    "'=1+1",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</style><script>alert(1)</script>",
    "<!-- --><b>bold",
    "](javascript:alert(1)) [x](javascript:alert(1)) ![x](http://a.example/x.png)",
    "| a | b |\n| --- | --- |\n# heading",
    "```\n</code>\n```",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7 %>",
    r"\input{/etc/passwd} \write18{id} \immediate $x$ % comment",
    "$(touch pwned) `touch pwned`; touch pwned && touch pwned | touch pwned",
    "\u202egnp.exe \u2066x \x1b[2J\x07 \x00".replace("\x00", ""),
    "http://a.example www.a.example a@example.org",
    "' OR 1=1; DROP TABLE x; --",
    "---\nlicense: mit\n---",
    "&lt;script&gt; &#x3c;script&#x3e;",
]
TAG = re.compile(r"<[a-zA-Z/!?]")


class Page(html.parser.HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def safe_page(text: str, scripts: int) -> None:
    page = Page(text)
    assert page.tags.count("script") == scripts
    assert not {"iframe", "object", "embed", "base", "link", "img"} & set(page.tags)
    assert page.tags.count("form") == scripts  # the controls of the samples' page
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    links = [value or "" for name, value in page.attributes if name in ("href", "src", "xlink:href", "action")]
    assert all(link.startswith("#") for link in links)
    assert "Content-Security-Policy" in text and "default-src 'none'" in text


def number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in (1, 2, 3))])
def test_hostile_texts_and_labels_stay_texts_in_every_file(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for payload, other in zip(PAYLOADS[part::4], PAYLOADS[part + 1 :: 4] + PAYLOADS[:1], strict=False):
        folder = tmp_path / str(PAYLOADS.index(payload))
        every_writer(folder, payload, other, monkeypatch)
        written = [path for path in folder.rglob("*") if path.is_file()]
        assert len(written) > 40 and not list(tmp_path.rglob("pwned*"))
        for path in written:
            check(path)


def every_writer(folder: Path, payload: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished study whose texts begin with the payload, and whose labels are made of it."""
    monkeypatch.setattr(study_fixtures, "HOSTILE", payload)
    study = study_in(folder / "results")
    label = escape.collapse_whitespace(payload)[:80] or "x"
    finish(study, [label, f"{escape.collapse_whitespace(other)[:80]} too"])
    results = folder / "results"
    test = results / "news/texts/test.parquet"
    write_details(
        predictions(results), test, figures=results / "figures/news", errors=results / "tables/news/errors.csv"
    )
    write_report(sources(results), results / "report.html")
    write_cards(study, "news")
    shards = sorted((results / "news/synthetic/pocket/full").glob("*.parquet"))
    logits = sorted((results / "news/logits/minilm/pocket/full").glob("*.parquet"))
    generated = {"news": GeneratedPool(results / "news/texts/train.parquet", shards, logits, 6)}
    write_table3(generated, out_csv=results / "tables/table3.csv", out_md=results / "tables/table3.md")
    second = folder / "second"
    second.mkdir()
    for name in ("metrics.parquet", "run_config.yaml"):
        shutil.copy(results / name, second)
    studies = read_studies([results, second], "accuracy")
    for kind in ("csv", "md"):
        write_comparison(results / f"compare.{kind}", compare_studies(studies), [payload, other], "accuracy")
    marks = dict.fromkeys(("duplicate_of", "near_duplicate_of", "copy_of", "near_copy_of"))
    texts = {"text": payload, "nearest_text": payload, "predicted": label, "asked": payload, "nearest_label": label}
    numbers = {"confidence": 0.5, "entropy": 0.1, "n_words": 3, "nearest_similarity": 0.5}
    rows = [{"row": i, **texts, **numbers, **marks} for i in range(3)]
    names = {"dataset": payload, "generator": payload, "sampling": payload, "teacher": payload}
    (results / "samples.html").write_text(samples_page(rows, len(rows), names, [label, other]), encoding="utf-8")


def check(path: Path) -> None:
    """A file that a person opens holds nothing that their program would act on."""
    if path.suffix in (".parquet", ".json", ".png", ".yaml", ".onnx"):
        return  # for machines: exact, and never run
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        for cell in (cell for row in csv.reader(io.StringIO(text)) for cell in row):
            assert number(cell) or not cell.lstrip(" \u00a0\u3000").startswith(escape.FORMULA_STARTS), (path, cell)
    elif path.suffix == ".md":
        body = text.split("---\n", 2)[2] if path.name == "README.md" else text
        body = re.sub(r"^(`{3,}).*?^\1$", "", body, flags=re.MULTILINE | re.DOTALL)
        assert not TAG.search(body), (path, TAG.search(body))
        assert not re.search(r"(?<!\\)\]\((javascript|http:)", body) and "http://a.example" not in body, path
        assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x1b\x07]", body), path
        tables = [line for line in body.splitlines() if line.startswith("|")]
        assert len({line.count(" | ") for line in tables} - {0}) < 9 and "# heading" not in body.splitlines()
    elif path.suffix == ".tex":
        assert not re.search(r"\\(input|write18|immediate|include|openout)\b", text), path
    elif path.suffix == ".html":
        safe_page(text, scripts=1 if path.name == "samples.html" else 0)
    elif path.suffix == ".svg":
        tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}
        assert not {"script", "foreignObject", "a", "image"} & tags, path
    else:
        raise AssertionError(f"{path}: a kind of file that nobody looked at")


@given(text=st.text(max_size=60))
@BOUNDED
def test_escapes_hold_for_any_text(text: str):
    cell = escape.csv(text)
    assert not cell.startswith(escape.FORMULA_STARTS) and not cell.strip(" ").startswith(escape.FORMULA_STARTS)
    assert escape.from_csv(cell) == text
    shown = escape.markdown(text)
    assert shown.isprintable() or (not set(shown) & set("\n\r\t\x1b") and not TAG.search(shown))
    assert "<" not in shown and not re.search(r"(?<!\\)(\\\\)*[`*_\[\]|~$]", shown)
    latex = re.sub(
        r"\\[&%$#_{}]|\\text(backslash|asciitilde|asciicircum|less|greater)\{\}|\$\\pm\$", "", escape.latex(text)
    )
    assert not re.search(r"[\\&%$#_{}~^]", latex)

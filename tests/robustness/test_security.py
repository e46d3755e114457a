"""What docs/security.md promises: nothing that is read is run, and nothing that was generated is more than text."""

import ast
import csv
import html.parser
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import study_fixtures
from bad_inputs import BOUNDED, refused
from hypothesis import given
from hypothesis import strategies as st
from study_fixtures import finish, predictions, sources, study_in
from word2vec_archives import archive
from workflow_fixtures import ROOT, STUDY, Checkout, entry

from gendist.analysis.cards.write_cards import write_cards
from gendist.analysis.generated_rows import GeneratedPool
from gendist.analysis.quality.samples_page import samples_page
from gendist.analysis.report.compare_studies import compare_studies, read_studies, write_comparison
from gendist.analysis.report.system_details import write_details
from gendist.analysis.report.table3 import write_table3
from gendist.analysis.report_page.write_report import write_report
from gendist.io import escape
from gendist.stages.students import bpemb

# --- what the code may not call ---

FORBIDDEN = {
    "eval", "exec", "compile", "__import__",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "dill.load", "joblib.load",
    "torch.load", "np.load", "numpy.load", "pd.read_pickle", "cloudpickle.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all",
    "os.system", "os.popen", "os.execv", "subprocess.getoutput", "subprocess.getstatusoutput",
    "tempfile.mktemp", "input",
}  # fmt: skip
METHODS = {"extractall", "read_pickle", "to_pickle", "unpack_archive"}
ALLOWED = {
    ("gendist/config/yaml_file.py", "yaml.load"): "with a loader that is derived from the safe one",
    ("tools/pocket/token_windows.py", "np.load"): "the pretraining's own tokens, without pickle",
}
HUB = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification", "AutoTokenizer")


def python_files() -> list[Path]:
    return [
        path
        for part in ("gendist", "tools", "workflow_scripts", "docs")
        for path in sorted((ROOT / part).rglob("*.py"))
    ]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_that_runs_what_it_reads_is_called():
    found = set()
    for path in python_files():
        name = path.relative_to(ROOT).as_posix()
        for called, node in calls(path):
            if called in FORBIDDEN or called.rpartition(".")[2] in METHODS:
                found.add((name, called))
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else "not plain"
                assert keyword.arg != "shell" or value is False, f"{name}: shell="
                assert keyword.arg != "trust_remote_code" or value is False, f"{name}: trust_remote_code="
                assert keyword.arg != "allow_pickle" or value is False, f"{name}: allow_pickle="
                assert keyword.arg != "use_safetensors" or value is True, f"{name}: use_safetensors="
    assert found == set(ALLOWED)


def test_models_of_the_hub_are_loaded_in_one_place_which_takes_safetensors_only():
    for path in python_files():
        if path.name != "models.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(rf"\b({'|'.join(HUB)})\.from_(pretrained|config)", text), path
    loader = (ROOT / "gendist/nn/pretrained.py").read_text(encoding="utf-8")
    assert loader.count("from_pretrained") == 1
    assert "trust_remote_code=False" in loader and 'options["use_safetensors"] = True' in loader


def test_rules_run_scripts_and_no_shell():
    rules = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    for path in rules:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s+(shell|run|notebook|wrapper|cwl):", text, re.MULTILINE), path
    assert sum(path.read_text().count("    script:\n") for path in rules) > 30


def test_only_safetensors_onnx_and_json_hold_weights():
    binary = re.compile(r"\.(pkl|pickle|joblib|pt|pth|bin|ckpt|npy|npz)\b")
    allowed = {
        "tools/study_files.py": "names the file of the next",
        "tools/pocket/token_windows.py": "tokens of the pretraining corpus, made and removed by it",
        "gendist/stages/students/bpemb.py": "word2vec's binary format, read by its header; no pickle",
        "gendist/stages/baselines/fasttext.py": "floret's binary format; no pickle",
    }
    found = {path.relative_to(ROOT).as_posix() for path in python_files() if binary.search(path.read_text("utf-8"))}
    assert found <= set(allowed), found - set(allowed)


# --- names that become paths ---


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "CON", "$(touch pwned)"])
def test_the_workflow_refuses_datasets_whose_names_are_no_safe_part_of_a_path(own: Checkout, name: str):
    study = {**STUDY, "datasets": {name: STUDY["datasets"]["toy"]}}
    result = own.snakemake("-n", "--cores", "1", "--configfile", own.write(study))
    *_, said = result.stdout.splitlines()
    assert result.returncode and len(result.stdout.splitlines()) == 2
    assert f"name '{name}' in 'datasets' is not accepted: " in said
    assert not (own.folder / "pwned").exists() and not (own.folder / "results").exists()


@pytest.mark.parametrize(
    "target",
    [
        "results/../toy/texts/train.parquet",
        "results/a b/texts/train.parquet",
        "results/toy/students/kim/dist/../n0/seed0/metrics.json",
        "results/-x/texts/train.parquet",
    ],
)
def test_no_rule_makes_a_file_of_an_unsafe_name(bare: Checkout, target: str):
    result = bare.snakemake("-n", "--cores", "1", "--configfile", bare.write(STUDY, "safe.yaml"), "--", target)
    assert result.returncode and "MissingRuleException" in result.stdout, result.stdout


# --- the command line, for real ---


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`gendist` of this checkout in a folder."""
    program = "from gendist.cli.app import main; main()"
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder, env=known, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "twice.yaml"), "error: twice.yaml, line 3, column 1: not valid YAML (key 'seeds' appears twice"),
        (("run", "template.yaml"), "error: template.yaml: key '__use_yte__' makes the config a program"),
        (("status", "folder"), "error: folder: is a folder, expected a config file"),
        (("export", "binary.yaml"), "error: binary.yaml: not UTF-8 at byte 0"),
        (("card", "good.yaml", "--dataset", "../x"), "error: dataset '../x' is not in the study"),
        (("export", "good.yaml", "--dataset", "../x"), "error: good.yaml: no dataset '../x' (has d)"),
        (("init", "bad.csv"), "error: bad.csv, line 2: 3 fields, the header has 2"),
        (("init", "pipe.csv"), "error: pipe.csv: is a pipe, a socket or a device"),
        (("predict", "folder", "bad.csv"), "error: folder: no exported model"),
        (("compare", "folder", "bad.csv"), "error: "),
        (("push", "good.yaml", "--to", "a/b/c", "--yes"), "error: "),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_the_command_ends_in_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path):
    (tmp_path / "good.yaml").write_text("datasets:\n  d: {train: bad.csv, test: bad.csv}\n")
    (tmp_path / "twice.yaml").write_text("datasets: {d: {train: bad.csv, test: bad.csv}}\nseeds: 1\nseeds: 2\n")
    (tmp_path / "template.yaml").write_text("__use_yte__: true\n?open('pwned', 'w'): 1\n")
    (tmp_path / "binary.yaml").write_bytes(b"\x80\x04\x95")
    (tmp_path / "bad.csv").write_text("text,label\na,b,c\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.rglob("*"))
    done = command(tmp_path, *arguments)
    assert done.returncode == 1 and done.stderr.startswith(said), done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout
    assert sorted(tmp_path.rglob("*")) == before  # no file was made, 'pwned' least of all


def test_tracebacks_are_for_those_who_ask(tmp_path: Path):
    for arguments, environment in (
        (("--debug", "status", "x.yaml"), {}),
        (("status", "x.yaml"), {"GENDIST_DEBUG": "1"}),
    ):
        assert "Traceback" in command(tmp_path, *arguments, **environment).stderr
    program = "import gendist.cli.app as a; a.app = lambda: 1 / 0; a.main()"
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=known, text=True, capture_output=True)
    said = "error: unexpected ZeroDivisionError: division by zero (gendist --debug … shows the traceback)\n"
    assert done.returncode == 1 and done.stderr == said


def test_a_job_shows_its_traceback_to_those_who_ask(tmp_path: Path):
    program = f"""
from gendist.jobs.job_script import logged
with logged({str(tmp_path / "job.log")!r}, "job"):
    raise KeyError("first\\nsecond")
"""
    for environment, shown in (({}, False), ({"GENDIST_DEBUG": "1"}, True)):
        known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run([sys.executable, "-c", program], env=known, text=True, capture_output=True)
        assert done.returncode == 1 and ("Traceback" in done.stderr) is shown
        assert "[job] unexpected KeyError: " in done.stderr and "Traceback" in (tmp_path / "job.log").read_text()
        assert shown or len(done.stderr.splitlines()) == 1


# --- generated and given texts through every writer ---

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


# --- archives ---


def tar_of(*members: tuple[str, bytes, bytes]) -> bytes:
    """A .tar.gz of (name, type, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(content) if member.size else None)
    return out.getvalue()


def test_an_archive_writes_nowhere_and_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("gensim")
    monkeypatch.chdir(tmp_path)
    vectors = np.ones((3, 2), np.float32)
    outside = archive(vectors, "../../../x/tiny.w2v.bin")
    assert bpemb.read_vectors(outside, "tiny.w2v.bin", 3, 2).shape == (3, 2)
    assert not list(tmp_path.iterdir())
    for content in (
        tar_of(("tiny.w2v.bin", tarfile.SYMTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.LNKTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.FIFOTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.CHRTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.REGTYPE, b"3 2\n" + bytes(50_000_000))),  # 50 kB packed
        tar_of(("tiny.w2v.bin", tarfile.REGTYPE, b"no header at all")),
        outside[:-30],
        outside[:20] + b"\xff" * 20 + outside[40:],
    ):
        refused(
            lambda content=content: bpemb.read_vectors(content, "tiny.w2v.bin", 3, 2), tmp_path, "tiny.w2v.bin: not"
        )
    claims = tar_of(("tiny.w2v.bin", tarfile.REGTYPE, b"999999999 999999\n"))
    refused(lambda: bpemb.read_vectors(claims, "tiny.w2v.bin", 3, 2), tmp_path, "has 999999999 x 999999 vectors")


class Answer(io.BytesIO):
    """What a server says."""

    def __init__(self, url: str, content: bytes) -> None:
        super().__init__(content)
        self.url = url

    def geturl(self) -> str:
        return self.url


@pytest.mark.parametrize(
    ("url", "content", "said"),
    [
        ("http://nlp.h-its.org/x", b"x", "which does not use https"),
        ("file:///etc/passwd", b"x", "which does not use https"),
        ("https://nlp.h-its.org/x", b"x" * 2000, "larger than 1,000 bytes"),
    ],
)
def test_downloads_are_of_https_and_of_bounded_size(
    url: str, content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bpemb.urllib.request, "urlopen", lambda *_, **__: Answer(url, content))
    monkeypatch.setattr(bpemb, "MAX_BYTES", 1000)
    refused(lambda: bpemb.fetch_bpemb("en", 10_000, 100, tmp_path / "out"), tmp_path, said)


# --- audit and page ---


def test_make_audit_says_in_one_line_that_it_could_not_ask(tmp_path: Path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    stand_in = tools / "pip-audit"
    stand_in.write_text(
        "#!/bin/sh\nprintf 'Traceback (most recent call last):\\n  File\\nConnectionError: offline\\n' >&2\nexit 1\n"
    )
    stand_in.chmod(0o755)
    (tmp_path / ".venv/.run-stamp").touch()
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(["make", "audit"], cwd=tmp_path, env=alone, text=True, capture_output=True)
    assert done.returncode
    assert done.stdout.splitlines() == [
        "ConnectionError: offline",
        "make audit: not clean: a vulnerability stands above, or PyPI's service could not be asked",
    ]
    stand_in.write_text("#!/bin/sh\n")
    assert subprocess.run(["make", "audit"], cwd=tmp_path, env=alone, capture_output=True).returncode == 0


def test_the_page_of_the_threat_model_names_tests_that_are_there():
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:unit|robustness|workflow)/[\w/]+\.py)`", page))
    assert len(named) > 5 and {name for name in named if not (ROOT / "tests" / name).is_file()} == set()
    assert "security.md" in (ROOT / "mkdocs.yml").read_text()


def test_misspelt_architectures_are_found_before_anything_runs(bare: Checkout):
    study = entry("students", "kim", architecture="kmi")
    result = bare.snakemake("-n", "--cores", "1", "--configfile", bare.write(study, "misspelt.yaml"))
    assert result.returncode and "students.kim.architecture: 'kmi' is unknown (did you mean 'kim'?)" in result.stdout
    program = "import sys; from gendist.config import load_study; load_study('misspelt.yaml')"
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], cwd=bare.folder, env=known, text=True, capture_output=True)
    assert "GendistError" in done.stderr
    light = program.replace(
        "load_study('misspelt.yaml')", "load_study('config.yaml'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", light], cwd=bare.folder, env=known, check=True)

"""The documents agree with the code: keys, configs, links and commands."""

import argparse
import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from snakemake.cli import get_argument_parser

from gendist.cli.app import app
from gendist.config import Study, load_study, study_from
from gendist.predict.command import command_parser
from tools.config_reference import DOCS, reference_text, schema, schema_text

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "gendist/nn/pocket/models/README.md"]
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
WRITTEN = {"reviews.yaml", "more.yaml"}
"""Configs that the pages have their readers write."""
TOOLS = {"make", "snakemake", "gendist", "pip", "python", "pytest"}
SIX_LINES = """\
datasets:
  reviews:
    train: data/train.csv
    test: data/test.csv
    text: body              # or [title, body]
    label: topic
    train_per_class: 100
    synthetic: 5000
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("name", "made"), [("config.md", reference_text), ("config.schema.json", schema_text)])
def test_the_reference_is_in_step_with_the_models(name: str, made: Any):
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == made(), "run: python -m tools.config_reference"


def test_every_key_is_described():
    full = schema()
    models = {"Study": full, **full["$defs"]}
    bare = [
        f"{m}.{key}" for m, model in models.items() for key, f in model["properties"].items() if "description" not in f
    ]
    assert bare == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_is_valid_by_the_models_and_by_the_schema(path: Path):
    load_study(path)
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"datasets": {"a b": {"train": "a.csv", "test": "b.csv"}}},
        {"datasets": {"a": {"train": "a.csv", "test": "b.csv", "txt": "a"}}},
        {"datasets": {"a": {"train": "a.csv", "test": "b.csv", "text": 3}}},
        {"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}, "seeds": 0},
    ],
)
def test_the_schema_refuses_mistakes(content: dict[str, Any]):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema())


def test_the_run_config_of_a_study_is_valid_by_the_schema():
    study = study_from({"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}})
    jsonschema.validate(study.model_dump(mode="json"), schema())


def test_the_readme_has_the_six_line_config_and_it_is_valid():
    (block,) = blocks(ROOT / "README.md", "yaml")
    assert block == SIX_LINES
    study = study_from(yaml.safe_load(block))
    assert study.datasets["reviews"].synthetic == 5000
    assert yaml.safe_load(block) == yaml.safe_load((ROOT / "configs/own_data.yaml").read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_in_the_documents_are_valid(page: Path):
    for block in blocks(page, "yaml"):
        content = yaml.safe_load(block)
        assert isinstance(study_from({"datasets": {"a": {"train": "a.csv", "test": "b.csv"}}, **content}), Study)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in t and not t.startswith("#")]
    assert [t for t in targets if not (page.parent / t.partition("#")[0]).exists()] == []
    anchors = {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert [t for t in re.findall(r"\]\(#([^)]+)\)", text) if t not in anchors] == []


def test_the_documents_have_at_most_18000_words():
    """README and docs/*.md, without the notes; signs of tables and code without a letter or digit are no words."""
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    assert sum(len(re.findall(r"\S*\w\S*", page.read_text(encoding="utf-8"))) for page in pages) <= 18_000


def test_files_that_the_documents_name_are_there():
    for page in PAGES[:-1]:
        named = re.findall(
            r"`((?:configs|docs|envs|gendist|profiles|rules|tests|tools|workflow_scripts)/[\w./-]*)`", page.read_text()
        )
        missing = {name for name in named if not (ROOT / name).exists()}
        assert missing == set(), page.name


def test_the_readme_names_the_two_commands_and_has_room_for_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in ("run", "test"):
        assert f"\n    make {command} " in text and command in targets
    assert text.index("<!-- results:begin -->") < text.index("<!-- results:end -->")
    named = {word for page in PAGES for word in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named <= set(targets)


def commands(text: str) -> Iterator[list[str]]:
    """Words of every command in blocks and in code within lines, the tool without its folder first."""
    fenced = re.findall(r"^ *```(?:sh|bash|console)?\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^(?: {4}|\t)+(.*)$", rest, re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+ [^`]+)`", rest)]
    for line in [line for block in fenced for line in block.splitlines()] + indented + inline:
        try:
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        except ValueError:  # not a command: a lone quotation mark
            continue
        words = words[next((i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), 0) :]
        tool = words[0].removeprefix(".venv/bin/") if words else ""
        if tool.removesuffix("3") in TOOLS:
            yield [tool.removesuffix("3"), *words[1:]]


def faults(words: list[str]) -> list[str]:
    """What a command names that is not there."""
    tool, *rest = words
    options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    after = dict(pairwise(rest))
    if tool == "make":
        makefile = (ROOT / "Makefile").read_text()
        known = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE), *re.findall(r"^([A-Z_]+) \?=", makefile, re.M)}
        return [word for word in rest if word.partition("=")[0] not in known]
    if tool == "snakemake":
        rules = re.findall(r"^rule (\w+):", "".join(f.read_text() for f in ROOT.glob("rules/*.smk")), re.MULTILINE)
        files = [after[o] for o in ("--configfile", "-s") if o in after]
        named = [after[o] for o in ("--forcerun", "-R") if o in after]
        missing = [f for f in files if f not in WRITTEN and f != "configs/NAME.yaml" and not (ROOT / f).is_file()]
        missing += [rule for rule in named if rule not in rules]
        return missing + _unknown(options, get_argument_parser())
    if tool == "gendist":
        registered = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        if rest[0] not in registered:
            return [] if rest[0].startswith("-") else [rest[0]]
        if rest[0] == "predict":
            return _unknown(options, command_parser("gendist predict"))
        known = {
            name for parameter in registered[rest[0]].params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        return [option for option in options if option not in known | {"--help"}]
    if tool == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = {extra for word in rest for extra in re.findall(r"^\.\[(.*)\]$", word)}
        return [extra for extras_of in asked for extra in extras_of.split(",") if extra not in extras]
    if "-m" in after:
        name = after["-m"]
        place = ROOT / name.replace(".", "/")
        found = place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
        return [] if found or (importlib.util.find_spec(name.partition(".")[0]) and "." not in name) else [name]
    return [word for word in rest if "/" in word and not (ROOT / word).exists()]


def _unknown(options: list[str], parser: argparse.ArgumentParser) -> list[str]:
    known = re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", parser.format_help())
    return [option for option in options if option not in known]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("make run CORES=2", []),
        ("make rnu", ["rnu"]),
        ("make run COERS=2", ["COERS=2"]),
        (".venv/bin/snakemake --cores 2 --configfile configs/none.yaml", ["configs/none.yaml"]),
        ("snakemake --core 2 --forcerun fit_none", ["fit_none", "--core"]),
        ("pip install -c constraints.txt -e '.[hub,bpe]'", ["bpe"]),
        ("python -m gendist.config.none", ["gendist.config.none"]),
        ("gendist rnu", ["rnu"]),
        (".venv/bin/pytest tests/test_none.py", ["tests/test_none.py"]),
    ],
)
def test_wrong_commands_are_found(line: str, wrong: list[str]):
    for text in (f"a\n\n    {line}\n", f"```\n{line}\n```\n", f"Run `{line}`."):
        (words,) = commands(text)
        assert faults(words) == wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_what_is_there(page: Path):
    found = list(commands(page.read_text(encoding="utf-8")))
    assert [" ".join(words) for words in found if faults(words)] == []
    assert found or page.name not in ("README.md", "quickstart.md", "caching.md", "guide.md", "extending.md")


def test_the_schema_is_json_with_its_dialect():
    assert json.loads(schema_text())["$schema"].endswith("2020-12/schema")

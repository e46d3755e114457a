"""The documents agree with the code: keys, configs, links and commands."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gendist.config import Study, load_study, study_from
from gendist.config.reference import DOCS, reference_text, schema, schema_text

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "gendist/pocket/models/README.md"]
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
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
    assert written == made(), "run: python -m gendist.config.reference"


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


def test_files_that_the_documents_name_are_there():
    for page in PAGES[:-1]:
        named = re.findall(
            r"`((?:configs|docs|envs|gendist|profiles|rules|tests|workflow_scripts)/[\w./-]*)`", page.read_text()
        )
        missing = {name for name in named if not (ROOT / name).exists()} - {"docs/results.md"}
        assert missing == set(), page.name


def test_the_readme_names_the_two_commands_and_has_room_for_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in ("run", "test"):
        assert f"\n    make {command} " in text and command in targets
    assert text.index("<!-- results:begin -->") < text.index("<!-- results:end -->")
    named = {word for page in PAGES for word in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named <= set(targets)


def test_the_schema_is_json_with_its_dialect():
    assert json.loads(schema_text())["$schema"].endswith("2020-12/schema")

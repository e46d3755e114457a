"""Configs that are wrong: every key with every kind of wrong value, and files that are hardly YAML."""

import copy
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from bad_inputs import BOUNDED, refused, survived
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from workflow_fixtures import ROOT

from gendist.config import Study, load_study, study_from
from gendist.config.file_checks import require_files
from gendist.config.yaml_file import read_config
from gendist.errors import GendistError

CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
PLAIN: dict[str, Any] = {
    "datasets": {"news": {"train": "a.csv", "test": "b.csv"}},
    "generators": {"g": {}},
    "samplings": {"s": {}},
    "teachers": {"t": {}},
    "students": {"kim": {}},
    "trainings": {"tr": {"keep": {}}},
    "systems": ["kim"],
    "export": {},
    "tracking": {},
}

OPTIONAL: dict[str, Any] = {
    "endpoint": {"url": "http://127.0.0.1:8000/v1", "model": "m"},
    "prices": {"input": 1, "output": 2},
}
"""Sections that are not in the plain study, with what they need."""


def keys(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of a config that has a value of its own, with what it takes."""
    for name, field in model.model_fields.items():
        models = [kind for kind in atoms(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if models:
            named = get_origin(field.annotation) is dict  # entries by name
            yield from keys(models[0], (*place, name, next(iter(PLAIN[name]))) if named else (*place, name))
        elif field.annotation != dict[str, Any]:  # which takes anything
            yield (*place, name), field.annotation


def atoms(annotation: Any) -> set[Any]:
    """The plain types of an annotation."""
    found = {part for inner in get_args(annotation) for part in atoms(inner)}
    return found or {annotation}


KEYS = list(keys(Study))
NUMBERS = [-7, 1e300, 10**30, math.nan, math.inf, -math.inf, True, "many", "5e-5x", ""]


def wrong_values(annotation: Any) -> Iterator[Any]:
    """Values that a key must not take."""
    kinds = atoms(annotation)
    yield {"a": {"b": 1}}
    yield [[1], {"c": []}]
    if type(None) not in kinds:
        yield None
    if kinds & {int, float}:
        yield from (value for value in NUMBERS if value is not True or bool not in kinds)
    if int in kinds and float not in kinds:
        yield 2.5
    if bool not in kinds:
        yield True
    else:
        yield from ("maybe", math.nan, *(() if int in kinds else (7,)))
    if str in kinds and not kinds & {int, float}:
        yield from (3, 1.5)
    if not kinds & {str, int, float, bool}:  # a choice of words
        yield from ("no such word", 3, "")
    parts = (annotation, *get_args(annotation))
    inner = [part.__origin__ for part in parts if hasattr(part, "__metadata__")]
    if list not in {getattr(a, "__origin__", a) for a in (*parts, *inner)}:
        yield ["one", "two", "one"]


def with_value(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The plain study with one value replaced."""
    study = copy.deepcopy(PLAIN)
    inner = study
    for part in place[:-1]:
        inner = inner.setdefault(part, copy.deepcopy(OPTIONAL.get(part, {})))
    inner[place[-1]] = value
    return study


@pytest.mark.parametrize(("place", "annotation"), KEYS, ids=[".".join(place) for place, _ in KEYS])
def test_no_key_takes_a_wrong_value_and_every_refusal_names_it(place: tuple[str, ...], annotation: Any, tmp_path: Path):
    file = tmp_path / "study.yaml"
    for value in wrong_values(annotation):
        file.write_text(yaml.safe_dump(with_value(place, value)))
        message = refused(lambda: load_study(file), tmp_path, "study.yaml: ")
        assert place[-1] in message, message
    misspelt = with_value(place, None)
    inner = misspelt
    for part in place[:-1]:
        inner = inner[part]
    del inner[place[-1]]
    inner[f"{place[-1]}x"] = 1
    name = ".".join((*place[:-1], f"{place[-1]}x"))
    refused(lambda: study_from(misspelt, "my.yaml"), tmp_path, f"unknown key '{name}' (did you mean '{place[-1]}'?)")


NAMES = ["../x", "a b", "-x", "_x", "", ".", "..", "a/b", "a\\b", "CON", "nul", "Com1", "é", "数据", "x" * 65, "a.b"]
NAMES += ["a\nb", "a\0b", "$(id)", "`id`", "a;b", "a*", "{dataset}", "<b>", "=1+1", "~", "\u202ex", "a\u200b"]


@pytest.mark.parametrize("section", ["datasets", "generators", "samplings", "teachers", "students", "trainings"])
def test_names_that_are_no_safe_part_of_a_path_are_refused(section: str, tmp_path: Path):
    for name in NAMES:
        study = {**PLAIN, section: {name: next(iter(PLAIN[section].values()))}}
        refused(lambda study=study: study_from(study, "my.yaml"), tmp_path, f"in '{section}' is not accepted")
    for name in (3, 2.5, True, None):
        study = {**PLAIN, section: {name: {}}}
        refused(lambda study=study: study_from(study, "my.yaml"), tmp_path, f"in '{section}' is not text")


@pytest.mark.parametrize(
    ("study", "named"),
    [
        (
            {"datasets": {"tables": {"train": "a", "test": "b"}}},
            "'tables' is a reserved folder of the results",
        ),
        ({"datasets": {"Logs": {"train": "a", "test": "b"}}}, "datasets: 'Logs' is a reserved folder of the results"),
        ({"datasets": {n: {"train": "a", "test": "b"} for n in ("a", "A")}}, "'a' and 'A' differ only in case"),
        ({"students": {"kim": {}, "KIM": {}}}, "students: 'kim' and 'KIM' differ only in case"),
        ({"students": {"kim": {}, "fasttext": {}}}, "students: 'fasttext' is the name of another system"),
        ({"students": {"kim": {}, "teacher": {}}}, "students: 'teacher' is the name of another system"),
        (
            {"students": {"kim": {"architecture": "kmi"}}},
            "students.kim.architecture: 'kmi' is unknown (did you mean 'k",
        ),
        ({"students": {"kim": {"architecture": ""}}}, "accepted: bag, bilstm, blend, kim, res"),
        ({"students": {"kim": {"architecture": "registry"}}}, "'registry' is unknown"),
        ({"students": {"kim": {"architecture": "../../x"}}}, "'../../x' is unknown"),
        ({"students": {"kim": {"embeddings": "bpemb:../../x"}}}, "expected bpemb:LANGUAGE/PIECES/WIDTH"),
        ({"students": {"kim": {"embeddings": "bpemb:en/10000"}}}, "students.kim.embeddings"),
        ({"students": {"kim": {"embeddings": "bpemb:en/10000/100\n"}}}, "students.kim.embeddings"),
        ({"datasets": {"d": {}}}, "needs both 'train' and 'test'"),
        ({"datasets": {"d": {"train": "a", "test": "b", "hub": "c"}}}, "takes either 'train' and 'test' or 'hub'"),
        ({"datasets": {"d": {"train": "a", "test": "b", "revision": "c"}}}, "'revision' belongs to 'hub'"),
        ({"datasets": {"d": {"train": "a", "test": "b", "hub_config": "c"}}}, "'hub_config' belongs to 'hub'"),
        ({"datasets": {"d": {"train": "a", "test": "b", "text": ["x", "x"]}}}, "text repeats a column: x"),
        ({"datasets": {"d": {"train": "a", "test": "b", "text": "label"}}}, "cannot be both text and label"),
        ({"datasets": {"d": {"train": "a", "test": "b", "label_names": ["x"]}}}, "at least 2 items"),
        ({"datasets": {"d": {"train": "a", "test": "b", "label_names": ["x", "x"]}}}, "repeats a class: x"),
        ({"datasets": {"d": {"train": "a", "test": "b", "label_names": ["x", " "]}}}, "contains an empty name"),
        ({"datasets": {"d": {"train": "a", "test": "b", "encoding": "hex"}}}, "'hex' is not a text encoding"),
        ({"datasets": {"d": {"train": "a", "test": "b", "encoding": "utf-\0"}}}, "is not a text encoding"),
        ({"datasets": {"d": {"train": "a", "test": "b", "encoding": "é" * 90}}}, "is not a text encoding"),
        ({"datasets": {"d": {"train": "a", "test": "b", "label": True}}}, "YAML reads yes, no, on, off"),
        ({"datasets": {"d": {"train": "a", "test": "b", "synthetic": 4_000_000_000}}}, "100,000 shards of 500 rows"),
        ({"seeds": []}, "key 'seeds' is []; list should have at least 1 item"),
        ({"seeds": 1001}, "key 'seeds' is 1001"),
        ({"seeds": [0, -1]}, "key 'seeds[1]' is -1"),
        ({"seeds": "five"}, "input should be a valid list; or input should be a valid integer"),
        ({"teachers": {"t": {"contrastive": 1.0}}}, "contrastive is 1.0, which needs pooling: mean"),
        ({"teachers": {"t": {"members": 2, "refit": False}}}, "members is 2, which needs refit: true"),
        ({"systems": ["kim+nothing"]}, "system 'kim+nothing' is unknown; accepted: tfidf-svm"),
        ({"systems": ["../kim"]}, "system '../kim' is unknown"),
        ({"systems": ["kim", "kim"]}, "systems repeats an entry: kim, kim"),
        ({"curve_student": "nobody"}, "curve_student 'nobody' is not one of students: kim"),
        ({"export": {"systems": ["teacher"]}}, "export.systems: 'teacher' is not a student"),
        ({"export": {"folds": 1}}, "key 'export.folds' is 1"),
        ({"tracking": {"mlflow": "http://me:secret@host"}}, "key 'tracking.mlflow'"),
        ({"results": "a b"}, "key 'results' is 'a b'"),
        ({"results": "a\0b"}, "key 'results'"),
        ({"results": "x{dataset}"}, "key 'results'"),
        ({"results": "a b"}, "expected a path without spaces, braces, $ and control characters"),
        ({"results": "$HOME/out"}, "key 'results' is '$HOME/out'; expected a path without spaces, braces, $ and"),
        ({"results": "C:\\out"}, "expected a path with / between folders: 'C:\\out' would be one folder"),
        ({"datasets": {"d": {"train": "a{b}.csv", "test": "b"}}}, "key 'datasets.d.train': 'a{b}.csv' has braces"),
        ({"results": "~nobody-here/out"}, "is the home folder of an unknown user; write './~nobody-here/out'"),
        (
            {"datasets": {"d": {"train": "a", "test": "b", "text": 0}}},
            "expected the name of a column (a number in quotes)",
        ),
        ({"datasets": {"d": {"train": "a", "test": "b", "delimiter": "::"}}}, "key 'datasets.d.delimiter' is '::'"),
        ({"datasets": {"d": {"train": "a", "test": "b", "delimiter": '"'}}}, "expected one character, not a quote"),
        ({"datasets": {"d": {"train": "a", "test": "b", "quoting": "maybe"}}}, "'auto', 'standard' or 'none'"),
        ({"datasets": {"d": {"train": "a", "test": "b", "header": False}}}, "header is false: "),
        ({"datasets": {"d": {"train": "a", "test": "b", "labels": {"a": 1}}}}, "key 'datasets.d.labels.a' is 1"),
        ({"results": ""}, "key 'results'"),
        ({"results": "x" * 2000}, "key 'results'"),
        ({"datasets": None}, "key 'datasets' is None; input should be entries by name"),
        ({"datasets": [1]}, "key 'datasets' is [1]; input should be entries by name"),
        ({"datasets": {"d": []}}, "key 'datasets.d' is []; input should be keys: train, test, hub"),
        ({"export": 3}, "key 'export' is 3; input should be keys: enabled, systems, folds"),
        ({3: 4}, "is not text; put it in quotes"),
        ({None: 4}, "is not text; put it in quotes"),
    ],
)
def test_what_does_not_fit_together_is_found_when_the_config_is_read(study: dict[Any, Any], named: str, tmp_path: Path):
    refused(lambda: study_from({**PLAIN, **study}, "my.yaml"), tmp_path, "my.yaml: ", named)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
GOOD = "datasets:\n  d: {train: a.csv, test: b.csv}\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "expected a mapping with at least 'datasets', got None"),
        (b"\xef\xbb\xbf", "got None"),
        (b"# nothing\n", "got None"),
        (b"--- 3\n", "got 3"),
        (b"just words\n", "got 'just words'"),
        (b"- a\n- b\n", "got ['a', 'b']"),
        (b"datasets:\n\td: 1\n", "line 2, column 1: not valid YAML"),
        (b"datasets: [1, 2\n", "not valid YAML"),
        (b"datasets: {a: 1\n", "not valid YAML"),
        (b"datasets: 'x\n", "not valid YAML"),
        (b"a: b: c\n", "line 1, column 5: not valid YAML"),
        (b"a: *nobody\n", "line 1, column 4: not valid YAML"),
        (b"a: @x\n", "line 1, column 4: not valid YAML"),
        (b"%YAML 9.9\n---\na: 1\n", "not valid YAML"),
        (b"a: 1\n---\na: 2\n", "not valid YAML"),
        (b"a: \xff\n", "not UTF-8 at byte 3"),
        ("datasets: é\n".encode("latin-1"), "not UTF-8 at byte 10"),
        (GOOD.encode("utf-16"), "not UTF-8 at byte 0"),
        (GOOD.encode("utf-16-le"), "not valid YAML"),
        (b"a: \x00\n", "not valid YAML"),
        (b"a: \x1b[31m\n", "not valid YAML"),
        (b"a: !!python/object/apply:os.system ['touch pwned']\n", "line 1, column 4: not valid YAML"),
        (b"!!python/object:os.system {}\n", "line 1, column 1: not valid YAML"),
        (b"a: !!python/name:os.system\n", "not valid YAML"),
        (b"a: !mine 3\n", "not valid YAML"),
        (b"a: !!int many\n", "contains a value that YAML cannot read"),
        (b"a: !!timestamp x\n", "contains a value that YAML cannot read"),
        (b"a: 2020-13-45\n", "contains a value that YAML cannot read (month must be in 1..12)"),
        (b"a: " + b"9" * 5000 + b"\n", "contains a value that YAML cannot read"),
        (GOOD.encode() + b"datasets: {}\n", "line 3, column 1: not valid YAML (key 'datasets' appears twice"),
        (b"datasets:\n  d: {train: a.csv, train: b.csv}\n", "line 2, column 21: not valid YAML (key 'train' appears"),
        (b"? [a, b]\n: 1\n", "not valid YAML"),
        (b"? {a: b}\n: 1\n", "not valid YAML"),
        (
            b"datasets:\n  no: {train: a.csv}\n",
            "line 2, column 3: not valid YAML (key 'no' is not text; put it in quotes",
        ),
        (b"a: {1: b}\n", "line 1, column 5: not valid YAML (key '1' is not text; put it in quotes"),
        (b"a: 0500\n", "line 1, column 4: not valid YAML (number '0500' is octal or sexagesimal; write it plainly"),
        (b"a: 1:30\n", "(number '1:30' is octal or sexagesimal; write it plainly, or put text in quotes"),
        (b"a: 1:30.5\n", "(number '1:30.5' is octal or sexagesimal"),
        (LAUGHS.encode(), "more than 100,000 values"),
        (LAUGHS.replace("[*", "{<<: [*").replace("]\n", "]}\n").encode(), "YAML"),
        (b"a: &a [*a]\n", "an anchor contains itself"),
        (b"a: &a {b: *a}\n", "an anchor contains itself"),
        (b"[" * 5000, "nested too deeply"),
        (b"a: " + b"{a: " * 3000, "nested too deeply"),
        (b"- " * 5000, "nested too deeply"),
        (b"#" * 1_000_001, "larger than 1,000,000 bytes, the limit of a config"),
        (b"__use_yte__: true\n?open('pwned', 'w'): 1\n", "'__use_yte__' makes the config a program"),
        (b"PK\x03\x04" + bytes(range(256)), "YAML"),
    ],
)
def test_files_that_are_no_config_are_refused(content: bytes, named: str, tmp_path: Path):
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    message = refused(lambda: load_study(file), tmp_path, "study.yaml")
    assert named in message or (named == "YAML" and ("YAML" in message or "not UTF-8" in message)), message


def test_a_byte_order_mark_and_anchors_are_fine(tmp_path: Path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "\ufeff" + GOOD + "students: {kim: &k {filters: 3}, res: {<<: *k, architecture: res}}\nsystems: [kim]\n"
    )
    assert load_study(file).students["res"].filters == 3


def test_a_path_that_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "nothing.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, said in (
        ("folder.yaml", "is a folder, expected a config file"),
        ("loop.yaml", "cannot be read"),
        ("nothing.yaml", "no such config file"),
        ("pipe.yaml", "is a pipe, a socket or a device"),
        ("a\0b.yaml", "no such config file"),
        ("x" * 300 + ".yaml", "cannot be read"),
        ("folder.yaml/x.yaml", "no such config file"),
    ):
        refused(lambda name=name: load_study(tmp_path / name), tmp_path, said)
    refused(lambda: load_study(Path("/dev/zero")), tmp_path, "is a pipe, a socket or a device")


def test_files_and_models_that_a_config_names_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text,label\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    require_files(study_from(PLAIN))
    data = {"train": "a.csv", "test": "b.csv"}
    for study, named in (
        ({"datasets": {"d": {**data, "train": "none.csv"}}}, "none.csv: no such file (key 'datasets.d.train')"),
        (
            {"datasets": {"d": {**data, "test": "folder"}}},
            "folder: is a folder, expected a file (key 'datasets.d.test')",
        ),
        ({"datasets": {"d": {**data, "test": "pipe.csv"}}}, "pipe.csv: is a pipe"),
        ({"datasets": {"d": {**data, "test": ""}}}, "(key 'datasets.d.test')"),
        ({"results": "a.csv"}, "a.csv: is a file, expected a folder (key 'results')"),
        ({"results": "a.csv/out"}, "a.csv: is a file, expected a folder (key 'results')"),
        ({"students": {"kim": {"embeddings": "folder"}}}, "folder/tokenizer.json: no such file"),
        ({"generators": {"g": {"model": "./none"}}}, "model ./none: not a folder, and not a valid hub id"),
        ({"generators": {"g": {"model": "folder"}}}, "model folder: no config.json there"),
        (
            {"teachers": {"t": {"model": "a b"}}},
            "model a b: not a folder, and not a valid hub id (key 'teachers.t.model')",
        ),
        ({"teachers": {"t": {"model": "../../etc"}}}, "model ../../etc: no"),
        ({"teachers": {"t": {"model": ""}}}, "(key 'teachers.t.model')"),
    ):
        refused(lambda study=study: require_files(study_from({**PLAIN, **study})), tmp_path, named)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree."""
    yield place
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*place, key))


@given(data=st.data())
@BOUNDED
def test_any_change_of_a_valid_config_is_accepted_or_one_line(data: st.DataObject, tmp_path: Path):
    study = yaml.safe_load(data.draw(st.sampled_from(CONFIGS)).read_text())
    *outer, last = data.draw(st.sampled_from([place for place in places(study) if place]))
    inner = study
    for part in outer:
        inner = inner[part]
    if data.draw(st.booleans()) and isinstance(inner, dict):
        inner[data.draw(st.text(max_size=12))] = inner.pop(last)
    else:
        inner[last] = data.draw(VALUES)
    survived(lambda: study_from(study, "my.yaml"), tmp_path)


@given(data=st.data())
@BOUNDED
def test_any_damage_of_a_config_file_is_accepted_or_one_line(data: st.DataObject, tmp_path: Path):
    content = bytearray(data.draw(st.sampled_from(CONFIGS)).read_bytes()[:1500])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=4)
            | st.sampled_from([b"\t", b": ", b"\n- ", b"&a ", b"*a ", b"!!", b"{", b"[", b"'", b"<<: "])
        )
    file = tmp_path / "study.yaml"
    file.write_bytes(bytes(content))
    survived(lambda: load_study(file), tmp_path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_packaged_configs_are_valid(path: Path):
    assert study_from(read_config(path), path.name)
    with pytest.raises(GendistError):
        study_from({**read_config(path), "sedes": 3}, path.name)


def test_at_least_900_invalid_configs_are_tried():
    made = {repr(with_value(place, value)) for place, annotation in KEYS for value in wrong_values(annotation)}
    assert len(made) >= 900  # each is refused above, by its key

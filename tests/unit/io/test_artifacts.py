import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder, write_tensors, write_text
from gendist.io.json_files import read_json, write_json
from gendist.io.parquet import read_metadata, read_parquet, write_parquet, write_parquet_parts
from gendist.io.provenance import Provenance, hash_file, hash_folder

RECORD = Provenance("teacher", {"train": "ab12"}, {"epochs": 3}, 7, {"minilm": "cd34"})


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_model_folder_appears_whole(tmp_path):
    with model_folder(tmp_path / "model", RECORD) as folder:
        (folder / "config.json").write_text("{}")
        assert not (tmp_path / "model").exists()
    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == ["config.json", "gendist.json"]


def test_an_exception_leaves_the_old_folder(tmp_path):
    with model_folder(tmp_path / "model", RECORD) as folder:
        (folder / "old").write_text("kept")
    with pytest.raises(RuntimeError), model_folder(tmp_path / "model", RECORD) as folder:
        (folder / "new").write_text("half")
        raise RuntimeError
    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == ["gendist.json", "old"]


def test_a_new_folder_replaces_the_old(tmp_path):
    for name in ("old", "new"):
        with model_folder(tmp_path / "model", RECORD) as folder:
            (folder / name).write_text(name)
    assert names(tmp_path / "model") == ["gendist.json", "new"]


def test_the_rest_of_a_killed_run_is_no_obstacle(tmp_path):
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "stale").write_text("")
    with model_folder(tmp_path / "model", RECORD):
        pass
    assert names(tmp_path / "model") == ["gendist.json"]


def test_a_failed_file_leaves_the_old_one(tmp_path):
    write_json(tmp_path / "record.json", {"b": 1, "a": "é"})
    with pytest.raises(ValueError):
        write_json(tmp_path / "record.json", {"a": float("nan")})
    table = pa.table({"x": [1]})
    write_parquet(tmp_path / "t.parquet", table, RECORD)
    before = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(TypeError):
        write_parquet(tmp_path / "t.parquet", table, RECORD, {"bad": object()})
    with pytest.raises(AttributeError):
        write_tensors(tmp_path / "w.safetensors", {"w": None})
    assert names(tmp_path) == ["record.json", "t.parquet"]
    assert (tmp_path / "record.json").read_text(encoding="utf-8") == '{\n  "a": "é",\n  "b": 1\n}\n'
    assert (tmp_path / "t.parquet").read_bytes() == before


def test_files_are_made_with_their_folders_and_keep_line_ends(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "one\r\ntwo\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"one\r\ntwo\n"
    weights = torch.arange(6.0).reshape(2, 3)
    write_tensors(tmp_path / "w" / "w.safetensors", {"w": weights.T}, ("gendist", "{}"))
    assert torch.equal(load_file(tmp_path / "w" / "w.safetensors")["w"], weights.T)


def test_provenance_says_what_made_a_file_and_nothing_of_when_or_where(tmp_path):
    write_parquet(tmp_path / "t.parquet", pa.table({"x": [1]}), RECORD, {"label_names": ["ä"]})
    stored = read_metadata(tmp_path / "t.parquet")
    assert stored["label_names"] == ["ä"]
    assert set(stored["gendist"]) == {"stage", "version", "inputs", "settings", "seed", "source_models"}
    assert str(tmp_path) not in json.dumps(stored)
    write_parquet(tmp_path / "again.parquet", pa.table({"x": [1]}), RECORD, {"label_names": ["ä"]})
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "t.parquet").read_bytes()


def test_folder_hash_follows_content_and_names_but_not_provenance(tmp_path):
    for name in ("one", "two"):
        with model_folder(tmp_path / name, Provenance("teacher", seed=len(name))) as folder:
            (folder / "w").write_text("x")
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "two")
    (tmp_path / "two" / "gendist.json").write_text("{}")
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "two")
    (tmp_path / "two" / "w").rename(tmp_path / "two" / "v")
    assert hash_folder(tmp_path / "one") != hash_folder(tmp_path / "two")
    assert hash_file(tmp_path / "one" / "w") == hash_file(tmp_path / "two" / "v")


def test_a_measured_time_is_no_part_of_a_model(tmp_path):
    for seconds in (1, 2):
        with model_folder(tmp_path / str(seconds), RECORD) as folder:
            (folder / "w").write_text("x")
            write_json(folder / "timing.json", {"train_seconds": seconds})
    assert hash_folder(tmp_path / "1") == hash_folder(tmp_path / "2")
    assert (tmp_path / "1/gendist.json").read_bytes() == (tmp_path / "2/gendist.json").read_bytes()
    assert json.loads((tmp_path / "1/gendist.json").read_text())["files"] == {"w": hash_file(tmp_path / "1/w")}


def test_damaged_parquet_is_one_line(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"x": pa.array(np.random.default_rng(0).normal(size=4000))})
    write_parquet(path, table, RECORD)
    whole = path.read_bytes()
    with pytest.raises(GendistError, match=r"t\.parquet: no column 'y' \(has x\)"):
        read_parquet(path, ["y"])
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[:100] + bytes(2000) + whole[2100:], b"text" * 9):
        path.write_bytes(content)
        with pytest.raises(GendistError, match=r"t\.parquet") as caught:
            read_parquet(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(GendistError, match="not a readable Parquet"):
        read_metadata(path)
    for read in (read_parquet, read_metadata, read_json):
        with pytest.raises(GendistError, match=r"absent.*: no such file"):
            read(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_damaged_json_is_one_line(tmp_path, content):
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(GendistError, match=r"r\.json: damaged .*; delete it and rerun"):
        read_json(tmp_path / "r.json")


def test_a_relative_path_with_a_colon_is_a_file_and_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:out").mkdir()
    table = pa.table({"x": [1]})
    write_parquet(Path("s3:out/a.parquet"), table, RECORD)
    write_parquet_parts(Path("s3:out/b.parquet"), iter([table]), RECORD)
    assert [read_parquet(Path(f"s3:out/{name}.parquet"), ["x"]).num_rows for name in "ab"] == [1, 1]

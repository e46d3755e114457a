"""The index of a large pool."""

from pathlib import Path

import pytest

from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json
from gendist.stages.synthetic.shard_index import resolve_shards, write_shard_index


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of twelve shards."""
    for number in range(12):
        (tmp_path / f"shard-{number:05d}.parquet").write_text(f"rows of {number}")
    write_shard_index(tmp_path / "index-12.json", 12)
    return tmp_path / "index-12.json"


def test_an_index_stands_for_its_shards_in_order(index: Path):
    shards = resolve_shards([str(index)])
    assert [shard.name for shard in shards] == [f"shard-{number:05d}.parquet" for number in range(12)]
    assert all(shard.parent == index.parent for shard in shards)
    assert resolve_shards(["a/shard-00000.parquet", str(index)]) == [Path("a/shard-00000.parquet"), *shards]


def test_any_changed_shard_changes_the_index(index: Path):
    before = read_json(index)
    write_shard_index(index, 12)
    assert read_json(index) == before
    (index.parent / "shard-00007.parquet").write_text("other rows")
    write_shard_index(index, 12)
    assert read_json(index)["sha256"] != before["sha256"]


def test_a_missing_shard_is_an_error_that_says_what_to_delete(index: Path):
    (index.parent / "shard-00004.parquet").unlink()
    for read in (lambda: resolve_shards([str(index)]), lambda: write_shard_index(index, 12)):
        with pytest.raises(GendistError, match=r"shard-00004.parquet: missing; delete .*shard-00009.parquet and .*12"):
            read()


def test_an_index_without_a_number_of_shards_is_damaged(index: Path):
    write_json(index, {"shards": "twelve"})
    with pytest.raises(GendistError, match=r"index-12\.json: damaged"):
        resolve_shards([str(index)])

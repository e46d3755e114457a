"""What the machine can do to a study: full and read-only disks, flipped bits, wrong clocks, two runs at once."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from workflow_fixtures import STUDY, Checkout

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder, write_tensors
from gendist.io.checksums import verify_tensors
from gendist.io.json_files import write_json
from gendist.io.os_errors import explain_os_error
from gendist.io.parquet import read_parquet, write_parquet
from gendist.io.provenance import Provenance
from gendist.launcher.run_locks import locked_log
from gendist.launcher.temporary_files import remove_stale_files, temporary_folder
from gendist.nn.pretrained import load_causal_lm
from gendist.stages.synthetic.generate_shards import generate_shards

COMMAND = [sys.executable, "-m", "gendist"]
RECORD = Provenance("test")


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HF_HUB_OFFLINE")}
    return {**kept, "HF_ENDPOINT": "http://127.0.0.1:9", "COLUMNS": "120"}


def started(checkout: Checkout, config: str, *targets: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "run", config, "--cores", "1", "--", *targets],
        cwd=checkout.folder,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def gendist(checkout: Checkout, config: str, *targets: str) -> tuple[int, str]:
    process = started(checkout, config, *targets)
    said, _ = process.communicate(timeout=600)
    return process.returncode, said


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 kB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if not shutil.which("mount") or not mount("-t", "tmpfs", "-o", "size=96k", "tmpfs", str(place)):
        pytest.skip("mounting a small tmpfs needs root, and a container that lets it")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


# --- no room, no permission ---

BIG = torch.arange(50_000, dtype=torch.float32).sin()  # 200 kB that do not compress


def write_folder(path: Path) -> None:
    with model_folder(path, RECORD) as folder:
        save_file({"x": BIG}, folder / "model.safetensors")


WRITERS: dict[str, Callable[[Path], None]] = {
    "Parquet": lambda path: write_parquet(path, pa.table({"x": BIG.numpy()}), RECORD),
    "weights": lambda path: write_tensors(path, {"x": BIG}, ("gendist", "{}")),
    "JSON": lambda path: write_json(path, {"x": BIG.tolist()}),
    "folder": write_folder,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(small_disk: Path, kind: str):
    target = small_disk / "target"
    if kind == "folder":
        target.mkdir()
        (target / "old").write_text("old")
    else:
        target.write_text("old")
    with pytest.raises(GendistError) as caught:
        WRITERS[kind](target)
    assert str(caught.value) == f"{target}: no space left on the device; free some space, then rerun the same command"
    assert [file.name for file in small_disk.iterdir()] == ["target"]
    assert (target / "old" if kind == "folder" else target).read_text() == "old"
    assert mount("-o", "remount,size=10m", str(small_disk))
    WRITERS[kind](target)


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "folder"])
def test_a_read_only_disk_is_one_line(small_disk: Path, kind: str):
    assert mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(GendistError, match="target: read-only file system; make it writable, or set another folder"):
        WRITERS[kind](small_disk / "target")


def test_a_limit_on_the_size_of_files_is_one_line(tmp_path: Path):
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        for kind in ("Parquet", "weights", "JSON"):
            with pytest.raises(GendistError, match=r"target: file too large \(ulimit -f"):
                WRITERS[kind](tmp_path / "target")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_mistaken_for_the_disk_s(tmp_path: Path):
    assert explain_os_error(tmp_path, ValueError("28 rows")) is None
    assert explain_os_error(tmp_path, FileNotFoundError(2, "No such file")) is None
    assert explain_os_error(tmp_path, SafetensorError("I/O error: No space left on device (os error 28)")) is not None


@pytest.mark.slow
def test_a_study_on_a_full_disk_stops_in_one_line_and_goes_on_when_there_is_room(own: Checkout, small_disk: Path):
    config, texts = own.write({**STUDY, "results": str(small_disk / "r")}), small_disk / "r/toy/texts/train.parquet"
    generator = small_disk / "r/toy/generators/tiny"
    status, said = gendist(own, config, str(generator / "model.safetensors"))
    assert status == 1 and "Traceback" not in said, said
    reasons = {line.strip() for line in said.splitlines() if "no space left on the device; free some space" in line}
    assert len(reasons) == 1 and str(small_disk / "r") in reasons.pop(), said  # shown at once and in the summary
    assert not generator.exists() and list(small_disk.rglob("*.part")) == []
    made = texts.stat().st_mtime_ns
    assert mount("-o", "remount,size=50m", str(small_disk))
    status, said = gendist(own, config, str(generator / "model.safetensors"))
    assert status == 0 and (generator / "model.safetensors").is_file(), said
    assert texts.stat().st_mtime_ns == made


def test_read_only_results_are_one_line_before_anything_is_started(own: Checkout, small_disk: Path):
    config = own.write({**STUDY, "results": str(small_disk / "r")})
    assert mount("-o", "remount,ro", str(small_disk))
    status, said = gendist(own, config)
    expected = f"error: {small_disk}/r/logs/run.log: read-only file system; make it writable, or set another folder"
    assert status == 1 and said.startswith(expected) and said.count("\n") == 1, said


# --- damaged files ---


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


def test_no_flipped_bit_in_a_table_s_rows_goes_unnoticed(tmp_path: Path):
    path, table = (
        tmp_path / "t.parquet",
        pa.table({"row": range(200), "text": [f"{i * 7919 % 1000}" for i in range(200)]}),
    )
    write_parquet(path, table, RECORD)
    content, chance = path.read_bytes(), random.Random(0)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    noticed = 0
    for place in chance.sample(range(4, footer), 200):
        path.write_bytes(flipped(content, place))
        try:
            assert read_parquet(path) == table  # a part that says nothing about the rows
        except GendistError as error:
            noticed += 1
            assert str(error).startswith(f"{path}: ") and "damaged" in str(error) and "\n" not in str(error)
    assert noticed > 150
    for length in (0, 3, footer // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(GendistError, match=re.escape(f"{path}: ")):
            read_parquet(path)


def test_no_flipped_bit_in_weights_goes_unnoticed(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"b": torch.randn(30), "a": torch.randn(4, 5)}, ("gendist", RECORD.to_json()))
    verify_tensors(path)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for damaged in [flipped(content, i) for i in range(start, len(content), 3)] + [content[:-4], content[:20], b""]:
        path.write_bytes(damaged)
        with pytest.raises(GendistError, match=r"model\.safetensors: damaged .*; delete it and rerun"):
            verify_tensors(path)
    path.unlink()
    with pytest.raises(GendistError, match=r"model\.safetensors: no such file"):
        verify_tensors(path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "history.csv"])
def test_a_damaged_generator_is_named_before_it_writes_a_row(generator: Path, tmp_path: Path, name: str):
    folder = tmp_path / "generator"
    shutil.copytree(generator, folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(flipped(content, len(content) - 2))
    with pytest.raises(GendistError, match=rf"{name}: damaged .*delete it and rerun"):
        generate_shards(folder, [tmp_path / "shard.parquet"], Sampling(max_tokens=4), first_shard=0, shard_rows=4)
    (folder / name).unlink()
    with pytest.raises(GendistError, match=rf"{name}: no such file|no config.json"):
        load_causal_lm(str(folder))
    assert not (tmp_path / "shard.parquet").exists()


# --- clocks ---


@pytest.mark.slow
def test_a_wrong_clock_repeats_no_job(own: Checkout):
    config, target = own.write(STUDY), "results/toy/texts/train.parquet"
    made, data = own.folder / target, own.folder / "toy/train.csv"
    status, said = gendist(own, config, target)
    assert status == 0 and "texts done" in said, said
    content, inode = made.read_bytes(), made.stat().st_ino
    for outputs, inputs in ((0, 1e9), (2.1e9, 0), (1e9, 1e9)):
        os.utime(made, (outputs, outputs))
        os.utime(data, (inputs, inputs))
        status, said = gendist(own, config, target)
        assert status == 0 and "Everything was up to date." in said, said
    assert (made.read_bytes(), made.stat().st_ino) == (content, inode)


@pytest.mark.parametrize("start", ["gendist", "snakemake"])
def test_a_data_file_from_the_future_is_refused_before_any_job(own: Checkout, start: str):
    config = own.write(STUDY)
    os.utime(own.folder / "toy/train.csv", (2e9, 2e9))  # from a machine whose clock is ahead
    if start == "gendist":
        status, said = gendist(own, config)
    else:
        result = own.snakemake("--cores", "1", "--configfile", config)
        status, said = result.returncode, result.stdout
    date = datetime.fromtimestamp(2e9).isoformat(" ", "minutes")
    line = f"error: toy/train.csv: modified in the future ({date}); run: touch toy/train.csv (key 'datasets.toy.train')"
    assert status == 1 and line in said.splitlines(), said
    assert not (own.folder / "results/toy").exists()


# --- two at once ---


@pytest.mark.slow
def test_of_two_runs_at_once_one_works_and_the_other_says_so(own: Checkout):
    config, target = own.write(STUDY), "results/toy/texts/train.parquet"
    both = [started(own, config, target) for _ in range(2)]
    said = [process.communicate(timeout=600)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], said
    worked, refused = sorted(said, key=lambda text: text.startswith("error: "))
    assert re.fullmatch(
        r"error: .*: another run is active on this study \(process [^)]*\); wait for it.*\n", refused
    ), said
    assert "1 of 1 jobs done" in worked
    assert (own.folder / target).is_file()
    assert "Complete log" in (own.folder / "results/logs/run.log").read_text()  # not written over by the other


def test_a_run_s_log_is_held_until_its_last_process_ends(tmp_path: Path):
    log = tmp_path / "logs/run.log"
    with locked_log(log, timeout=0.0) as stream:
        stream.write(b"first\n")
        stream.flush()
        with pytest.raises(GendistError, match="another run is active on this study"), locked_log(log, timeout=0.0):
            pass
        job = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=stream)
    with pytest.raises(GendistError, match="another run is active on this study"), locked_log(log, timeout=0.0):
        pass
    assert log.read_text() == "first\n"
    job.kill()
    job.communicate()
    with locked_log(log) as stream:
        assert log.read_text() == ""


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    scripts = tmp_path / ".snakemake/scripts"
    scripts.mkdir(parents=True)
    (scripts / "tmpabc.score.py").write_text("")
    with temporary_folder() as mine:
        killed = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-4194305-"))  # no process has that number
        other = tmp_path / "gendist-0123456789ab-4194305-x"  # of another working directory
        for folder in (killed, other):
            folder.mkdir()
            (folder / "events.jsonl").write_text("")
        remove_stale_files()
        assert mine.is_dir() and other.is_dir() and not killed.exists() and list(scripts.iterdir()) == []

"""SIGTERM and Ctrl-C: what is done is saved, and the job ends within seconds."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_stages import quick
from workflow_fixtures import ROOT, Checkout, changed

from gendist.jobs import save_timer, stop_signals
from gendist.jobs.checkpoints import Checkpoints
from gendist.stages.generator.finetune_generator import finetune_generator


def test_a_finetuning_that_is_asked_to_stop_saves_its_step(gpt2, train_texts, tmp_path: Path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    finetune_generator(train_texts, tmp_path / "whole", quick(gpt2, epochs=1))
    target, work = tmp_path / "results/tiny", tmp_path / "results/.work"
    original = Checkpoints.after_step

    def interrupted(self, step, steps, update_state=None):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, step, steps, update_state)

    with (
        monkeypatch.context() as patched,
        pytest.raises(stop_signals.Stopped) as caught,
        stop_signals.handle_stop_signals(),
    ):
        patched.setattr(Checkpoints, "after_step", interrupted)
        finetune_generator(train_texts, target, quick(gpt2, epochs=1), work=work)
    assert caught.value.code == 143 and "stopped after step 4 of 9" in caplog.messages
    finetune_generator(train_texts, target, quick(gpt2, epochs=1), work=work)
    assert "resuming from step 4 of 9" in caplog.messages
    weights = [(folder / "model.safetensors").read_bytes() for folder in (target, tmp_path / "whole")]
    assert weights[0] == weights[1]


@pytest.fixture
def interruptible():
    """SIGINT as in the foreground: tests that run in the background would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_stop_is_deferred_until_a_checkpoint_or_a_deadline(monkeypatch):
    reached = []
    with pytest.raises(stop_signals.Stopped) as caught, stop_signals.handle_stop_signals():
        with stop_signals.defer_stop():
            stop_signals.raise_if_stopped()
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("still at work")
            assert stop_signals.stop_requested()
        reached.append("never")
    assert reached == ["still at work"] and caught.value.code == 143 and caught.value.signal == "SIGTERM"
    monkeypatch.setattr(stop_signals, "GRACE_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(stop_signals.Stopped), stop_signals.handle_stop_signals(), stop_signals.defer_stop():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    assert time.monotonic() - began < 30
    with pytest.raises(stop_signals.Stopped), stop_signals.handle_stop_signals():
        os.kill(os.getpid(), signal.SIGTERM)  # nothing to wait for
        time.sleep(60)
    stop_signals.raise_if_stopped()  # a stop is over with the job that it was meant for


DRIVER = """
import sys
from pathlib import Path
from types import SimpleNamespace
place, generator, script = map(Path, sys.argv[1:])

class Files(list):
    train = None

snakemake = SimpleNamespace(
    wildcards=SimpleNamespace(dataset="toy", generator="tiny", sampling="full", shard="00000"),
    log=[str(place / "results/logs/shard.log")],
    input=Files([str(generator / "config.json")]),
    output=[str(place / "results/shard-00000.parquet")],
    params=SimpleNamespace(sampling={"max_tokens": 40}, shard_rows=3000, work=str(place / "results/.work")),
    config={"device": "cpu", "samplings": {"full": {"batch_size": 2}}},
    threads=1,
)
exec(compile(script.read_text(), str(script), "exec"))
"""


def test_sigterm_saves_the_rows_and_ends_with_143(generator, tmp_path):
    """The workflow script itself, in a process of its own."""
    command = [sys.executable, "-c", DRIVER, str(tmp_path), str(generator)]
    environment = {**os.environ, save_timer.SAVE_SECONDS_VARIABLE: "0.2"}
    process = subprocess.Popen([*command, str(ROOT / "workflow_scripts/generate_shard.py")], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "results").rglob("rows-*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # a queue's and ours, at once: they count as one
        assert process.wait(timeout=120) == 143  # all rows would take minutes
    finally:
        process.kill()
    log = (tmp_path / "results/logs/shard.log").read_text()
    kept = re.search(r"stopped after (\d+) of 3000 rows", log)
    assert kept and 0 < int(kept[1]) < 3000, log
    assert "stopped by SIGTERM; rerun the same command to resume" in log and "Traceback" not in log
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "results/shard-00000.parquet").exists()


@pytest.mark.slow
def test_a_terminated_run_goes_on_to_the_same_bytes_and_leaves_no_work_behind(own: Checkout):
    study = changed(counts=[], sampling_rows=200, shard_rows=200)
    study["datasets"]["toy"]["synthetic"] = 200
    study["samplings"] = {"full": {"max_tokens": 30, "batch_size": 2}}
    name, target = own.write(study), "results/toy/synthetic/tiny/full/shard-00000.parquet"
    file, log = own.folder / target, own.folder / "results/logs/toy/synthetic/tiny/full/shard-00000.log"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", name, "--", target]
    environment = {**os.environ, save_timer.SAVE_SECONDS_VARIABLE: "0.2", "PYTHONPATH": ""}
    printed = own.folder / "printed.txt"
    with printed.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=own.folder, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 200
            while not list(own.folder.rglob("rows-*.parquet")) and time.monotonic() < deadline:
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGTERM)  # as queues and gendist run do
            assert process.wait(timeout=60) == 1
        finally:
            process.kill()
    assert "exit status 143" in printed.read_text(), printed.read_text()
    kept = re.search(r"stopped after (\d+) of 200 rows", log.read_text())
    assert kept and not file.exists(), log.read_text()
    own.run(study, target)
    assert f"resuming from row {kept[1]} of 200" in log.read_text()
    assert not (own.folder / "results/.work").exists() and not list(own.folder.rglob("*.part"))
    content = file.read_bytes()
    file.unlink()
    own.run(study, target)
    assert "resuming" not in log.read_text() and file.read_bytes() == content
    kept = own.folder / "results/.work/toy/synthetic/tiny/full/shard-00000.parquet"
    kept.mkdir(parents=True)  # as if the run had been killed in its last moment
    (kept / "finished.json").write_text(json.dumps({"files": [target.removeprefix("results/")]}))
    assert own.snakemake("--dry-run", "--cores", "1", "--configfile", name, "--", target).returncode == 0
    assert kept.is_dir()
    assert "Nothing to be done" in own.run(study, target) and not (own.folder / "results/.work").exists()

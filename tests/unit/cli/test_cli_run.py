"""``gendist run`` on a very small study, started as a user would."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner
from workflow_fixtures import COMMAND, ROOT, STUDY, Checkout, entry, environment, gendist

from gendist.cli.app import app
from gendist.errors import GendistError
from gendist.launcher import run_locks, snakemake_command
from gendist.launcher.progress_display import LinePrinter, render
from gendist.launcher.snakemake_process import startup_error
from gendist.launcher.study_state import EventReader, Job, StudyState, error_line, progress_line, seconds_left


@pytest.fixture
def done(finished: Checkout, tmp_path: Path) -> Checkout:
    """A finished study to change."""
    return finished.copy(tmp_path / "checkout")


# --- real runs ---


def test_a_run_makes_what_is_missing_and_ends_with_table_1_and_places(done: Checkout):
    shutil.rmtree(done.folder / "results/toy/students/res/dist")
    (done.folder / "results/metrics.parquet").unlink()  # else nothing would want that run
    held = done.folder / ".snakemake/locks"
    held.mkdir(parents=True, exist_ok=True)
    (held / "0.output.lock").write_text("results/metrics.parquet\n")  # what a power cut leaves
    result = gendist(done, "run", "study.yaml", "--cores", "2", "--no-export")
    assert result.returncode == 0, result.stdout
    assert "Removed the lock of a killed run." in result.stdout
    plan = r"^\d+ of 53 jobs to run: 1 students, 1 evaluation, 1 costs, \d report; .*\d (s|min) left$"
    assert re.search(plan, result.stdout, re.MULTILINE)
    assert re.search(
        r"^53 of 53 jobs done, \d+:\d\d so far$", result.stdout, re.MULTILINE
    )  # as `gendist status` counts
    assert re.search(r"^students done \(12 of 12\); ", result.stdout, re.MULTILINE)
    assert "**Table 1.**" in result.stdout and "| res+dist" in result.stdout
    assert "Tables: results/tables/   Figures: results/figures/" in result.stdout
    assert (done.folder / "results/toy/students/res/dist/bert.default/n0/seed0/metrics.json").is_file()
    assert "Building DAG" in (done.folder / "results/logs/run.log").read_text()
    assert "Building DAG" not in result.stdout


def test_a_finished_study_is_up_to_date(done: Checkout):
    written = (done.folder / "results/report.html").stat().st_mtime_ns
    result = gendist(done, "run", "study.yaml", "--cores", "1", "--no-export")
    assert result.returncode == 0, result.stdout
    assert "Everything was up to date." in result.stdout
    assert (done.folder / "results/report.html").stat().st_mtime_ns == written


def test_a_failed_job_is_one_line_with_its_log(done: Checkout):
    data = done.folder / "gendist/launcher/data_checks.py"  # a small file would be looked at before the first job
    data.write_text(data.read_text().replace("CHECKED = 2**24", "CHECKED = 100"))
    file = done.folder / "toy/train.csv"
    file.write_text(file.read_text() + "a text without a label,\n")
    result = gendist(done, "run", "study.yaml", "--cores", "2")
    assert result.returncode == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("failed: toy/texts: "))
    assert "toy/train.csv, line 26: empty label (column 'label')" in line
    assert "log: results/logs/toy/texts.log" in result.stdout
    assert "Traceback" not in result.stdout and "Error in rule" not in result.stdout
    assert "Error in rule prepare_texts" in (done.folder / "results/logs/run.log").read_text()
    assert "Fix the problem and rerun the same command to resume." in result.stdout
    assert re.search(r"^1 failed, \d+ of 53 jobs kept\. ", result.stdout, re.MULTILINE)


WRONG = {
    "text": ({"text": "body"}, "toy/train.csv: no column 'body' (has text, label)"),
    "label": ({"label": "topic"}, "toy/train.csv: no column 'topic' (has text, label)"),
    "empty": ({"train": "empty.csv"}, "empty.csv: empty file, expected column 'text'"),
    "missing": ({"test": "none.csv"}, "none.csv: no such file (key 'datasets.toy.test')"),
    "one class": (
        {"train": "sea.csv", "test": "toy/test.csv"},
        "sea.csv: only one class (sea); a classifier needs two or",
    ),
    "unlabelled": ({"unlabelled": "bodies.csv"}, "bodies.csv: no column 'text' (has body)"),
    "given rows": (None, "bodies.csv: no column 'text' (has body)"),
}
"""Changes of the toy dataset, or None for a generator's rows, and the error."""


@pytest.mark.parametrize("arguments", [["run"], ["run", "--dry-run"], ["status"]], ids=" ".join)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_data_end_in_one_line_before_anything_is_written(
    bare: Checkout, wrong: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(bare.folder / "toy", tmp_path / "toy")
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").touch()
    Path("sea.csv").write_text("text,label\n" + "a wave,sea\n" * 8)
    Path("bodies.csv").write_text("body\n" + "a wave\n" * 8)
    change, message = WRONG[wrong]
    study = (
        STUDY | {"generators": {"llm": {"rows": "bodies.csv"}}}
        if change is None
        else entry("datasets", "toy", **change)
    )
    Checkout(tmp_path).write(study)
    before = set(tmp_path.rglob("*"))
    command, *options = arguments
    result = CliRunner().invoke(app, [command, "study.yaml", *options])
    assert isinstance(result.exception, GendistError) and message in str(result.exception)
    assert result.output == "" and set(tmp_path.rglob("*")) == before


def test_plain_snakemake_ends_with_the_same_line(own: Checkout):
    study = own.write(entry("datasets", "toy", label="topic"))
    results = [gendist(own, "run", study), own.snakemake("--cores", "1", "--configfile", study)]
    assert [result.returncode for result in results] == [1, 1]
    lines = {result.stdout.splitlines()[-1] for result in results}
    assert lines == {"error: toy/train.csv: no column 'topic' (has text, label)"}
    assert not (own.folder / "results").exists()


def test_ctrl_c_reaches_the_jobs_and_says_how_to_go_on(own: Checkout):
    own.write(STUDY)
    log, deadline = own.folder / "results/logs/run.log", time.monotonic() + 120
    with subprocess.Popen(
        [*COMMAND, "run", "study.yaml", "--cores", "1"],
        cwd=own.folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if the tests run in the background
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "jobs to run" in said, said
            while "(Rule: prepare_texts)" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=180)
        finally:
            process.kill()
    assert process.returncode == 130, rest
    assert re.search(r"^Interrupted: \d+ of 53 jobs kept\. Rerun the same command to resume\.$", rest, re.MULTILINE)
    assert "failed" not in rest and " left" not in rest.splitlines()[-1]
    assert own.planned("study.yaml")["distil_student"] == 12  # no lock, nothing broken
    assert "prepare_texts" not in own.planned("study.yaml")


def test_a_bad_config_and_a_missing_one_end_in_one_line(bare: Checkout):
    bare.write({**STUDY, "seedz": 3}, "bad.yaml")
    result = gendist(bare, "run", "bad.yaml")
    assert result.returncode == 1
    assert result.stdout.startswith(
        "error: bad.yaml: unknown key 'seedz' (did you mean 'seeds'?); accepted here: datasets,"
    )
    assert gendist(bare, "run", "none.yaml").stdout == "error: none.yaml: no such config file\n"


def test_a_study_that_another_run_works_on_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".snakemake/locks"
    folder.mkdir(parents=True)
    (folder / "0.output.lock").write_text("results/one/metrics.parquet\n")
    assert not run_locks.is_in_use("results/one")  # nobody is at work
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "snakemake"])
    try:
        assert run_locks.processes_here() == [other.pid]
        assert run_locks.is_in_use("results/one") and not run_locks.is_in_use("results")
        assert not run_locks.remove_stale_locks()
        assert f"another run is active on this study (process {other.pid})" in str(run_locks.in_use_error())
    finally:
        other.kill()
        other.wait()


def test_what_follows_two_dashes_goes_to_snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("datasets: {d: {train: a.csv, test: b.csv}}")
    asked: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr("gendist.launcher.study_run.run_study", lambda path, study, ways: asked.append((path, ways)))
    for arguments in (["--cores", "3", "--", "--forceall"], ["config.yaml", "--cores", "3", "--", "--forceall"]):
        CliRunner().invoke(app, ["run", *arguments])
    assert asked == [(Path("config.yaml"), ["--cores", "3", "--forceall"])] * 2


def test_a_broken_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(snakemake_command, "WORKFLOW_FOLDERS", (tmp_path, tmp_path / "workflow"))
    with pytest.raises(GendistError, match=rf"no Snakefile in {tmp_path} or .*: reinstall gendist"):
        snakemake_command.snakemake_command(Path("config.yaml"))


def test_a_profile_of_the_checkout_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert snakemake_command.scheduling_arguments(None, "default") == ["--profile", str(ROOT / "profiles/default")]
    assert snakemake_command.scheduling_arguments(3, None, ["--keep-going"]) == ["--cores", "3", "--keep-going"]


# --- following ---


def job(number: int, stage: str, needed: bool = True, log: str = "") -> dict:
    logs = [log] if log else [f"results/logs/toy/{stage}/{number}.log"]
    record = {"id": number, "rule": f"make_{stage}", "stage": stage, "output": [f"{number}"], "log": logs}
    return {**record, "needed": needed, "reasons": ["not made yet"] if needed else []}


def followed(*events: dict) -> StudyState:
    state = StudyState(since=0.0)
    plan = [job(1, "texts", needed=False), job(2, "synthetic"), job(3, "students"), job(4, "students")]
    for event in ({"event": "plan", "cores": 1, "gpus": 0, "jobs": plan}, *events):
        state.apply(event)
    return state


def test_stages_count_what_was_there_what_runs_and_what_failed():
    state = followed(
        {"event": "started", "jobs": [2, 3]}, {"event": "finished", "job": 2}, {"event": "failed", "job": 3}
    )
    stages = state.stages()
    assert list(stages) == ["texts", "synthetic", "students"]
    assert (stages["texts"].done, stages["synthetic"].done, stages["students"].done) == (1, 1, 0)
    assert (stages["students"].total, stages["students"].failed, stages["students"].running) == (2, 1, 0)
    state.apply({"event": "started", "jobs": [3]})  # tried again
    assert state.failed == set() and state.running == {3}
    state.stopping = True
    state.apply({"event": "failed", "job": 3})  # it ended with the run
    assert state.failed == set() and state.running == set()


def test_an_event_that_is_half_written_waits(tmp_path: Path):
    file = tmp_path / "events"
    events = EventReader(file)
    assert events.new() == []
    file.write_bytes(b'{"event": "finished", "job": 1}\n{"event": "fin')
    assert events.new() == [{"event": "finished", "job": 1}]
    with file.open("ab") as stream:
        stream.write(b'ished", "job": 2}\n')
    assert events.new() == [{"event": "finished", "job": 2}]


def test_progress_and_errors_come_from_the_jobs_logs(tmp_path: Path):
    log = tmp_path / "a.log"
    one = Job(**job(1, "synthetic", log=str(log)))
    assert progress_line(one, 0.0) == "" and error_line(one) == "killed, or no message in the log"
    log.write_text(
        "2026-01-01 10:00:00,000 generating shard 2: 128 of 500 rows, 12/s, 0:31 left\n"
        "2026-01-01 10:00:10,000 generating shard 2: 1,257 of 5,000 rows, 12.7/s, 0:19 left, loss 3.2\n"
        "2026-01-01 10:00:11,000 something else: 3 of them\n"
    )
    assert progress_line(one, 0.0) == "generating shard 2: 1,257 of 5,000 rows, 12.7/s, 0:19 left, loss 3.2"
    assert progress_line(one, time.time() + 60) == ""  # what an earlier run left
    log.write_text("2026-01-01 10:00:00,000 error: a.csv, line 3: empty text\n")
    assert error_line(one) == "a.csv, line 3: empty text"


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("finetuning: 2 of 9 epochs, 110 s per epoch, 12:50 left", 770.0),
        ("writing: 1 of 2 rows, 5/s, 1:00:01 left", 3601.0),
    ],
)
def test_a_jobs_own_count_says_what_it_still_needs(tmp_path: Path, line: str, left: float):
    log = tmp_path / "a.log"
    one = Job(**job(1, "synthetic", log=str(log)))
    assert seconds_left(one, 0.0) is None
    log.write_text(f"2026-01-01 10:00:00,000 {line}\n")
    assert seconds_left(one, 0.0) == pytest.approx(left, abs=2)
    os.utime(log, (time.time() - 60, time.time() - 60))  # the line is a minute old
    assert seconds_left(one, 0.0) == pytest.approx(left - 60, abs=2)


def test_the_first_rows_of_a_job_say_nothing_of_its_rate(tmp_path: Path):
    log = tmp_path / "a.log"
    log.write_text("2026-01-01 10:00:00,000 generating shard 1: 2 of 500 rows, 5.42 s per row, 45:01 left\n")
    one = Job(**job(1, "synthetic", log=str(log)))
    assert seconds_left(one, 0.0) is None
    log.write_text("2026-01-01 10:00:10,000 generating shard 1: 52 of 500 rows, 2.47/s, 3:02 left\n")
    assert seconds_left(one, 0.0) == pytest.approx(182, abs=2)


def test_a_terminal_shows_bars_rates_and_the_time_left(tmp_path: Path):
    log = tmp_path / "logs" / "shard.log"
    log.parent.mkdir()
    log.write_text("2026-01-01 10:00:00,000 generating shard 2: 128 of 500 rows, 12/s, 0:31 left\n")
    state = StudyState(since=0.0)
    jobs = [job(1, "texts", False), {**job(2, "synthetic", log=str(log)), "seconds": 500.0}]
    state.apply({"event": "plan", "cores": 1, "gpus": 0, "jobs": jobs})
    state.apply({"event": "started", "jobs": [2]})
    console = Console(width=100, force_terminal=True, record=True, file=(tmp_path / "out").open("w"))
    console.print(render(state))
    shown = console.export_text()
    console.file.close()
    assert re.search(r"texts .* 1/1 +done", shown) and re.search(r"synthetic .* 0/1 +1 running", shown)
    assert "shard: generating shard 2: 128 of 500 rows, 12/s, 0:31 left" in shown
    assert "1 of 2 jobs done, 0:00 so far, about 30 s left" in shown  # by the job's own count


def test_a_failure_is_shown_with_its_reason_while_other_jobs_go_on(tmp_path: Path):
    log = tmp_path / "teacher.log"
    log.write_text("2026-01-01 10:00:00,000 error: model broken: cannot be loaded\n")
    state = StudyState()
    jobs = [{**job(1, "teacher", log=str(log)), "output": ["results/toy/teachers/t/config.json"]}, job(2, "synthetic")]
    state.apply({"event": "plan", "cores": 1, "gpus": 0, "jobs": jobs})
    state.apply({"event": "failed", "job": 1})
    line = f"failed: {state.jobs[1].name}: model broken: cannot be loaded"
    with (tmp_path / "out").open("w") as stream:
        lines = LinePrinter(Console(file=stream, width=40), every=1000)
        lines.update(state)
        lines.update(state)
        console = Console(width=100, force_terminal=True, record=True, file=stream)
        console.print(render(state))
    assert (tmp_path / "out").read_text().splitlines()[1] == line
    assert console.export_text().count(line) == 1


def test_elsewhere_lines_come_now_and_then(tmp_path: Path):
    with (tmp_path / "out").open("w") as stream:
        lines = LinePrinter(Console(file=stream, width=40), every=1000)
        lines.update(StudyState())
        for state in (followed(), followed(), followed({"event": "finished", "job": 2})):
            lines.update(state)
        state.stopping = True
        lines.update(state)
        lines.update(state)
    first, second, third = (tmp_path / "out").read_text().splitlines()
    assert first.startswith("3 of 4 jobs to run: 1 synthetic, 2 students; ")
    assert second.startswith("synthetic done (1 of 1); 2 of 4 jobs done")
    assert re.fullmatch(r"2 of 4 jobs done, .* so far; stopping once running jobs have saved their work \(.*\)", third)


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("Using x\nerror: config.yaml: key 'seeds' is 0\n", "config.yaml: key 'seeds' is 0"),
        (
            "LockException:\nError: Directory cannot be locked. Please make sure\n",
            "another run is active on this study",
        ),
        ("MissingInputException in rule x:\nMissing input files:\na.csv\n", "MissingInputException in rule x: Missing"),
        ("", "Snakemake did not start: no message"),
    ],
)
def test_what_kept_snakemake_from_starting_is_one_line(tmp_path: Path, printed: str, message: str):
    (tmp_path / "out").write_text(printed)
    error = str(startup_error(tmp_path / "out"))
    assert message in error and "\n" not in error

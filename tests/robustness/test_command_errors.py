"""The command ends in one line, with a traceback for those who ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_fixtures import ROOT, Checkout, entry

# --- the command line, for real ---


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`gendist` of this checkout in a folder."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "gendist", *arguments],
        cwd=folder, env=known, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "twice.yaml"), "error: twice.yaml, line 3, column 1: not valid YAML (key 'seeds' appears twice"),
        (("run", "template.yaml"), "error: template.yaml: key '__use_yte__' makes the config a program"),
        (("run", "good.yaml", "twice.yaml"), "error: one config at a time is accepted: good.yaml, or twice.yaml"),
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
from gendist.jobs.job_script import log_job
with log_job({str(tmp_path / "job.log")!r}, "job"):
    raise KeyError("first\\nsecond")
"""
    for environment, shown in (({}, False), ({"GENDIST_DEBUG": "1"}, True)):
        known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run([sys.executable, "-c", program], env=known, text=True, capture_output=True)
        assert done.returncode == 1 and ("Traceback" in done.stderr) is shown
        assert "[job] unexpected KeyError: " in done.stderr and "Traceback" in (tmp_path / "job.log").read_text()
        assert shown or len(done.stderr.splitlines()) == 1


# --- audit and page ---


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

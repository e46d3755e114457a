"""What can be known of profiles/slurm without a Slurm; tests/robustness/slurm has the rest."""

import re
from pathlib import Path

import pytest
import yaml
from workflow_fixtures import ROOT, STUDY, Checkout

from gendist.cli import extras
from gendist.errors import GendistError
from gendist.launcher.run_locks import slurm_jobs_here
from gendist.launcher.snakemake_command import scheduling_arguments

SLURM = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
DEFAULT = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())


def rules() -> set[str]:
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    return set(re.findall(r"^\s*(?:rule|use rule \w+ as) (\w+)(?::| with:)", text, re.MULTILINE))


def test_the_profile_decides_on_reruns_as_the_default_one():
    for key in ("rerun-incomplete", "keep-going", "quiet", "max-checksum-file-size", "rerun-triggers"):
        assert SLURM[key] == DEFAULT[key]


def test_the_profile_and_the_local_rules_name_rules_that_exist():
    local = re.findall(r"^    (\w+),$", (ROOT / "rules/local.smk").read_text(), re.MULTILINE)
    assert len(local) > 10 and set(local) <= rules()
    assert set(SLURM["set-resources"]) <= rules() - set(local)


def test_everything_that_a_job_may_run_out_of_grows_with_its_attempts():
    asked = [SLURM["default-resources"], *SLURM["set-resources"].values()]
    assert SLURM["retries"] > 0
    assert all(str(value).endswith("* attempt") for entry in asked for value in entry.values())


def test_snakemake_takes_the_profile(bare: Checkout):
    name = bare.write(STUDY, "planned.yaml")
    result = bare.snakemake("--profile", "profiles/slurm", "--dry-run", "--configfile", name)
    assert result.returncode == 0, result.stdout
    planned = set(re.findall(r"^((?:generate|score)_shards?) +[0-9]+$", result.stdout, re.MULTILINE))
    assert planned == {"generate_shards", "score_shards"}, result.stdout


def test_jobs_in_the_queue_are_known_by_the_folder_they_work_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '7|{tmp_path}'\necho '8|{tmp_path}/other'\necho '9_[2-3]|{tmp_path}'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_jobs_here() == ["7", "9_[2-3]"]
    squeue.unlink()
    assert slurm_jobs_here() == []  # a machine without Slurm


def test_a_machine_without_slurm_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GendistError, match="sbatch not found on this machine"):
        scheduling_arguments(None, "slurm")
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(
        GendistError, match=r"snakemake_executor_plugin_slurm not installed: pip install 'gendist\[slurm\]'"
    ):
        extras.require_extra("slurm")


def test_the_profile_brings_its_own_number_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sbatch").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scheduling_arguments(None, "slurm") == ["--profile", str(ROOT / "profiles/slurm")]

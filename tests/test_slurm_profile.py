"""What can be known of profiles/slurm without a Slurm; tests/slurm has the rest."""

import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from workflow_fixtures import ROOT, STUDY, Checkout

from gendist.workflow import arrays

SLURM = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
DEFAULT = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())


def rules() -> set[str]:
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    return set(re.findall(r"^rule (\w+):", text, re.MULTILINE))


def test_the_profile_decides_on_reruns_as_the_default_one():
    for key in ("rerun-incomplete", "keep-going", "quiet", "max-checksum-file-size", "rerun-triggers"):
        assert SLURM[key] == DEFAULT[key]


def test_the_profile_and_the_local_rules_name_rules_that_exist():
    local = re.findall(r"^    (\w+),$", (ROOT / "rules/local.smk").read_text(), re.MULTILINE)
    assert len(local) > 10 and set(local) <= rules()
    named = {*SLURM["set-resources"], *SLURM["slurm-array-jobs"].split(",")}
    assert named <= rules() - set(local)


def test_everything_that_a_job_may_run_out_of_grows_with_its_attempts():
    asked = [SLURM["default-resources"], *SLURM["set-resources"].values()]
    assert SLURM["retries"] > 0
    assert all(str(value).endswith("* attempt") for entry in asked for value in entry.values())


def test_snakemake_takes_the_profile(bare: Checkout):
    name = bare.write(STUDY, "planned.yaml")
    result = bare.snakemake("--profile", "profiles/slurm", "--dry-run", "--configfile", name)
    assert result.returncode == 0 and "generate_shard" in result.stdout, result.stdout


def scheduler(monkeypatch: pytest.MonkeyPatch, age: int = 300, status: str = "squeue", **limits: int) -> Any:
    """As much of Snakemake's scheduler as decides on arrays."""
    monkeypatch.setattr(arrays, "min_job_age", lambda: age)
    settings = SimpleNamespace(status_command=status, init_seconds_before_status_checks=40)
    executor = SimpleNamespace(array_jobs={"generate_shard"}, workflow=SimpleNamespace(executor_settings=settings))
    unlimited = dict.fromkeys(("_cores", "_nodes", "_job_count"), sys.maxsize)
    return SimpleNamespace(_executor=executor, global_resources={**unlimited, **limits}, job_rate_limiter="100/1s")


@pytest.mark.parametrize("limits", [{}, {"gpu": 1000000}, {"_nodes": 50}, {"gpu": 50}], ids=str)
def test_arrays_stay_where_nothing_holds_jobs_back(monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]):
    one = scheduler(monkeypatch, **limits)
    arrays.check_arrays(one, 50)
    assert one._executor.array_jobs == {"generate_shard"} and one.job_rate_limiter is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"_nodes": 49}, "--jobs limits"),
        ({"gpu": 2}, "--resources gpu limits"),
        ({"mem_mb": 10**6}, "--resources mem_mb limits"),
        ({"status": "sacct"}, "sacct follows the jobs"),
        ({"age": 119}, "squeue forgets finished jobs after 119 seconds"),
        ({"age": 0}, "squeue forgets"),
    ],
    ids=str,
)
def test_where_arrays_would_be_waited_for_or_misread_there_are_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], reason: str
):
    one = scheduler(monkeypatch, **changed)
    arrays.check_arrays(one, 50)
    assert one._executor.array_jobs == set()
    assert f"No arrays: {reason}" in caplog.text


def test_other_executors_have_no_arrays_to_check():
    arrays.check_arrays(SimpleNamespace(_executor=object(), job_rate_limiter=None), 50)


def test_how_long_slurm_remembers_is_read_from_its_config(monkeypatch: pytest.MonkeyPatch):
    def told(text: str) -> int:
        monkeypatch.setattr(arrays.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=text))
        return arrays.min_job_age()

    assert told("MessageTimeout          = 10 sec\nMinJobAge               = 300 sec\n") == 300
    assert told("slurm_load_ctl_conf error: Unable to contact slurm controller\n") == 0

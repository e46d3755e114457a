"""One job for all seeds of a student: the same files as a job for each."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from study_bytes import differences, fingerprint
from workflow_fixtures import Checkout, changed

from gendist.config import study_from
from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.jobs.visible_gpus import FAKE_GPUS_VARIABLE
from gendist.naming import RunKey
from gendist.nn import devices
from gendist.stages.students import distil_student as run
from gendist.stages.students import train_seeds as seeds
from gendist.stages.students.distil_student import distil_seeds, load_student, student_metadata
from gendist.stages.students.subwords import load_subwords
from gendist.stages.texts.text_tables import read_texts

SEEDS = [0, 4]
QUICK = Training(epochs=2, min_steps=150, batch_size=8)
TOGETHER = changed(seeds=SEEDS, seeds_together=True, device="cpu")
RUNS = [f"results/toy/students/{student}/scratch/default/n0/seed{seed}" for student in ("kim", "res") for seed in SEEDS]


@pytest.fixture
def distil(train_texts, test_texts, subwords):
    def both(folder, architecture="kim", **given):
        row = student_metadata(RunKey("toy", "kim", "scratch", "default", 0, 0))
        folders = {seed: folder / f"seed{seed}" for seed in SEEDS}
        student = Student(architecture=architecture, filters=16)
        distil_seeds(
            folders,
            row,
            train=train_texts,
            test=test_texts,
            embeddings=subwords,
            student=student,
            training=QUICK,
            **given,
        )
        return folders

    return both


@pytest.fixture
def gpu(monkeypatch):
    """A device that is not taken for the CPU, but computes there; returns what was stacked, and what trained alone."""
    used: list[str] = []
    monkeypatch.setattr(devices, "prepare", lambda *_: torch.device("cpu", 0))
    for name in ("train_stacked", "train_student"):
        way = getattr(seeds, name)
        monkeypatch.setattr(
            seeds, name, lambda *given, name=name, way=way, **named: used.append(name) or way(*given, **named)
        )
    return used


def test_on_a_cpu_each_seed_has_the_bytes_that_it_has_alone(distil, train_texts, test_texts, subwords, tmp_path):
    for seed, folder in distil(tmp_path / "together").items():
        row = student_metadata(RunKey("toy", "kim", "scratch", "default", 0, seed))
        student = Student(filters=16)
        distil_seeds(
            {seed: tmp_path / "alone"},
            row,
            train=train_texts,
            test=test_texts,
            embeddings=subwords,
            student=student,
            training=QUICK,
        )
        assert differences(fingerprint(folder), fingerprint(tmp_path / "alone")) == []


def test_side_by_side_the_files_are_the_same_but_for_their_numbers(distil, gpu, test_texts, subwords, tmp_path):
    one, other = distil(tmp_path / "one"), distil(tmp_path / "other")
    assert gpu == ["train_stacked"] * 2
    assert differences(fingerprint(tmp_path / "one"), fingerprint(tmp_path / "other")) == []
    encoded = run.encode_pieces(load_subwords(subwords), read_texts(test_texts).texts, QUICK.max_pieces)
    accuracies, seconds = [], []
    for seed, folder in one.items():
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["seed"] == seed and metrics["n_real"] == 36 and metrics["n_parameters"] > 1000
        accuracies.append(metrics["accuracy"])
        seconds.append(json.loads((folder / "timing.json").read_text())["train_seconds"])
        network, _ = load_student(folder, load_subwords(subwords))
        predicted = seeds.predict_student(network, encoded).argmax(1)
        assert (predicted == read_texts(test_texts).labels).mean() == pytest.approx(accuracies[-1])
    assert min(accuracies) > 0.8 and seconds[0] == seconds[1] > 0  # a third by chance
    weights = [(folder / "model.safetensors").read_bytes() for folder in one.values()]
    assert weights[0] != weights[1] and other.keys() == one.keys()


def test_networks_that_cannot_be_stacked_are_trained_one_after_the_other(distil, gpu, tmp_path, caplog):
    caplog.set_level("INFO")
    distil(tmp_path, "bilstm")
    assert gpu == ["train_student"] * 2
    assert "BiLstm does not support stacked training: training the seeds sequentially on the CPU" in caplog.messages


def test_the_seconds_of_seeds_are_shares_of_what_they_took_together(distil, tmp_path, monkeypatch):
    now = iter([100.0, 107.0])
    monkeypatch.setattr(run.time, "monotonic", lambda: next(now, 107.0))
    folders = distil(tmp_path)
    assert [json.loads((f / "timing.json").read_text()) for f in folders.values()] == [{"train_seconds": 3.5}] * 2


def test_a_study_plans_one_job_for_all_seeds(bare: Checkout):
    apart = bare.planned({**TOGETHER, "seeds_together": False})
    together = bare.planned(TOGETHER)
    assert apart.pop("distil_student") == 24 and together.pop("distil_seeds") == 12
    assert apart == together


def test_the_first_five_seeds_are_one_job_by_default():
    def joint(**study):
        return study_from({"datasets": {"toy": {"train": "a.csv", "test": "b.csv"}}, **study}, "test").joint_seeds

    assert joint() == joint(seeds=7) == [0, 1, 2, 3, 4] and joint(seeds=[3, 5, 8, 9, 1, 0]) == [3, 5, 8, 9, 1]
    assert joint(seeds=4) == joint(seeds_together=False) == []
    assert joint(seeds=7, seeds_together=True) == list(range(7)) and joint(seeds=3, seeds_together=2) == [0, 1]
    for wrong in (1, 0, "some"):
        with pytest.raises(GendistError, match="seeds_together"):
            joint(seeds_together=wrong)


def test_jobs_for_all_seeds_ask_for_a_gpu_unless_the_study_is_of_the_cpu(bare: Checkout, monkeypatch):
    monkeypatch.setenv(FAKE_GPUS_VARIABLE, "1")
    for device, gpus in (("auto", 12), ("cpu", 0)):
        config = bare.write({**TOGETHER, "device": device}, "gpus.yaml")
        result = bare.snakemake("--dry-run", "--quiet", "host", "--cores", "4", "--configfile", config)
        jobs = re.findall(r"^rule distil_seeds:\n(?:    .*\n)*", result.stdout, re.MULTILINE)
        assert len(jobs) == 12
        assert sum("gpu=1" in job for job in jobs) == gpus


def test_finished_seeds_stay_whichever_way_they_were_trained(own: Checkout):
    targets = [f"{folder}/metrics.json" for folder in RUNS]
    assert "distil_seeds" in own.run(TOGETHER, *targets)
    made = fingerprint(own.folder / "results/toy/students")
    assert len(made) == 4 * 4 and {Path(name).parent.name for name in made} == {"seed0", "seed4"}
    columns = [set(json.loads((own.folder / target).read_text())) for target in targets]
    assert columns[0] >= {"accuracy", "seed"} and all(names == columns[0] for names in columns)

    def planned(study, *wanted):
        name = own.write(study, "planned.yaml")
        return own.snakemake("--dry-run", "--cores", "2", "--configfile", name, "--", *(wanted or targets)).stdout

    apart = {**TOGETHER, "seeds_together": False}
    assert "Nothing to be done" in planned(TOGETHER) and "Nothing to be done" in planned(apart)
    assert re.search(r"^distil_student +1$", planned(TOGETHER, f"{RUNS[0][:-1]}9/metrics.json"), re.MULTILINE)
    more = {**TOGETHER, "seeds": [*SEEDS, 9], "seeds_together": len(SEEDS)}
    jobs = re.findall(r"^distil_\w+ +\d+$", planned(more, *targets, f"{RUNS[0][:-1]}9/metrics.json"), re.MULTILINE)
    assert {tuple(job.split()) for job in jobs} == {("distil_student", "1")}  # one more seed trains no other again
    shutil.rmtree(own.folder / RUNS[1])  # one of two: alone it is made alone, together both are
    assert re.search(r"^distil_student +1$", planned(apart), re.MULTILINE)
    assert re.search(r"^distil_seeds +1$", planned(TOGETHER), re.MULTILINE)
    assert "distil_student" in own.run(apart, *targets)
    assert differences(made, fingerprint(own.folder / "results/toy/students")) == []
    assert np.isfinite(json.loads((own.folder / RUNS[1] / "timing.json").read_text())["train_seconds"])

"""Jobs that are interrupted, and go on to the same bytes."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from tiny_stages import quick

from gendist.config.sampling_settings import Sampling
from gendist.config.teacher_settings import Teacher
from gendist.io.provenance import Provenance
from gendist.jobs import save_timer, work_folder
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.work_cleanup import remove_finished_work
from gendist.jobs.work_stamp import describe_differences, make_stamp
from gendist.stages.generator.finetune_generator import finetune_generator
from gendist.stages.synthetic import generate_shards as synthetic_shard
from gendist.stages.synthetic import sampler
from gendist.stages.synthetic.generate_shards import generate_shards
from gendist.stages.synthetic.saved_rows import SavedRows
from gendist.stages.teacher.finetune_teacher import finetune_teacher


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def bytes_of(folder: Path, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in without)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [message for message in caplog.messages if words in message]


# --- finetunes ---


def kill_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let a finetuning die after so many steps of this attempt; each but the last has left a checkpoint."""
    monkeypatch.setenv(save_timer.SAVE_SECONDS_VARIABLE, "0")
    original, done = Checkpoints.after_step, []

    def counted(self, *arguments):
        done.append(1)
        if len(done) == step:
            raise Killed
        original(self, *arguments)

    monkeypatch.setattr(Checkpoints, "after_step", counted)


GENERATORS = {
    "examples": ({"epochs": 2.5, "held_out": 0.2}, [5, 9, 12]),  # 8 steps in an epoch
    "windows": ({"unit": "windows", "window": 24, "epochs": 2, "trainable": "blocks"}, [2, 7]),
    "members": ({"finetunes": 2, "epochs": 1, "conditional": True}, [8, 13]),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_killed_again_and_again_goes_on_to_the_same_bytes(
    kind, gpt2, train_texts, tmp_path, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    changes, kills = GENERATORS[kind]
    settings = quick(gpt2, **changes)
    finetune_generator(train_texts, tmp_path / "whole", settings)
    target, work = tmp_path / "results/toy/generators/tiny", tmp_path / "results/.work"
    for attempt, step in enumerate(kills):
        before = kills[attempt - 1] if attempt else 0
        with monkeypatch.context() as patched, pytest.raises(Killed):
            kill_after(patched, step - max(0, before - 1))
            finetune_generator(train_texts, target, settings, work=work)
        assert not target.exists()
    finetune_generator(train_texts, target, settings, work=work)
    assert len(said(caplog, "resuming from step")) == len(kills)
    assert bytes_of(target) == bytes_of(tmp_path / "whole")


TEACHERS = {
    "chosen": ({"epochs": 3, "refit": False}, [5, 7]),  # 4 steps in an epoch
    "members": ({"epochs": 2, "pooling": "mean", "contrastive": 1.0, "members": 2}, [3, 11, 21]),
}


@pytest.mark.parametrize("kind", TEACHERS)
def test_a_teacher_killed_again_and_again_goes_on_to_the_same_bytes(
    kind, encoder, train_texts, tmp_path, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    changes, kills = TEACHERS[kind]
    settings = Teacher(model=str(encoder), learning_rate=3e-3, batch_size=8, max_tokens=24, held_out=0.2, **changes)
    finetune_teacher(train_texts, tmp_path / "whole", settings)
    target, work = tmp_path / "results/toy/teachers/bert", tmp_path / "results/.work"
    for attempt, step in enumerate(kills):
        before = kills[attempt - 1] if attempt else 0
        with monkeypatch.context() as patched, pytest.raises(Killed):
            kill_after(patched, step - max(0, before - 1))
            finetune_teacher(train_texts, target, settings, work=work)
        assert not target.exists()
    finetune_teacher(train_texts, target, settings, work=work)
    assert len(said(caplog, "resuming from epoch")) == len(kills)
    assert bytes_of(target, ("timing.json",)) == bytes_of(tmp_path / "whole", ("timing.json",))


def test_a_finished_finetune_is_adopted_and_its_work_removed_at_the_end(gpt2, train_texts, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    target, work = tmp_path / "results/toy/generators/tiny", tmp_path / "results/.work"
    finetune_generator(train_texts, target, quick(gpt2, epochs=1), work=work)
    whole = bytes_of(target)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):  # what Snakemake deletes before a rerun
        (target / name).unlink()
    assert remove_finished_work(work) == 0 and work.is_dir()  # it is not there, so its work has to stay
    finetune_generator(train_texts, target, quick(gpt2, epochs=1), work=work)
    assert said(caplog, "finetuning already complete") and len(said(caplog, "trainable weights")) == 1
    assert bytes_of(target) == whole
    assert remove_finished_work(work) == 1 and not work.exists()
    assert bytes_of(target) == whole


# --- shards ---

SETTINGS = Sampling(max_tokens=12, batch_size=4)


@pytest.fixture
def shard(tmp_path: Path) -> tuple[Path, Path]:
    """Where a shard and its work go."""
    return tmp_path / "results/toy/synthetic/tiny/full/shard-00001.parquet", tmp_path / "results/.work"


@pytest.fixture
def whole(generator: Path, tmp_path: Path) -> bytes:
    """The shard that nothing interrupted."""
    generate_shards(generator, [tmp_path / "whole.parquet"], SETTINGS, first_shard=1, shard_rows=10)
    return (tmp_path / "whole.parquet").read_bytes()


def kill_shard(monkeypatch: pytest.MonkeyPatch, rows: int, generator: Path, shard: tuple[Path, Path]) -> None:
    """Let a shard's generation die at a row; those before are kept."""
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setenv(save_timer.SAVE_SECONDS_VARIABLE, "0")
        original, done = SavedRows.add, []

        def counted(self, row):
            done.append(row.number)
            if len(done) == rows:
                raise Killed
            original(self, row)

        patched.setattr(SavedRows, "add", counted)
        generate_shards(generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    assert not shard[0].exists()


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the rows that are generated from now on."""
    seen: list[int] = []
    original = sampler.Sampler.sample

    def watched(self, numbers, prompts=None):
        seen.extend(numbers)
        return original(self, numbers, prompts)

    monkeypatch.setattr(sampler.Sampler, "sample", watched)
    return seen


def test_a_killed_shard_generates_only_what_it_lacks(generator, shard, whole, caplog, monkeypatch, generated):
    caplog.set_level(logging.INFO)
    kill_shard(monkeypatch, 4, generator, shard)
    kill_shard(monkeypatch, 5, generator, shard)
    del generated[:]
    generate_shards(generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    assert said(caplog, "resuming") == ["resuming from row 3 of 10", "resuming from row 7 of 10"]
    assert len(generated) == 3
    assert shard[0].read_bytes() == whole
    shard[0].unlink()  # as if Snakemake had died before it took note
    generate_shards(generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    assert len(generated) == 3 and shard[0].read_bytes() == whole
    assert remove_finished_work(shard[1]) == 1 and not shard[1].exists()


def test_a_damaged_part_is_discarded_and_its_rows_generated_anew(
    generator, shard, whole, caplog, monkeypatch, generated
):
    caplog.set_level(logging.INFO)
    kill_shard(monkeypatch, 7, generator, shard)
    cut, flipped, *_ = sorted(shard[1].rglob("rows-*.parquet"))
    cut.write_bytes(cut.read_bytes()[:-1])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    del generated[:]
    generate_shards(generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    assert said(caplog, "discarded") == [f"discarded {cut}: damaged", f"discarded {flipped}: damaged"]
    assert len(generated) == 6 and shard[0].read_bytes() == whole


# --- stamps ---


def test_every_change_discards_what_was_kept_and_is_named(generator, shard, whole, caplog, monkeypatch, tmp_path):
    caplog.set_level(logging.INFO)
    kill_shard(monkeypatch, 4, generator, shard)
    other = Sampling(max_tokens=12, temperature=0.5)
    generate_shards(generator, [shard[0]], other, first_shard=1, shard_rows=10, work=shard[1])
    shard[0].unlink()
    changed_generator = tmp_path / "changed"
    shutil.copytree(generator, changed_generator, ignore=shutil.ignore_patterns("gendist.json"))
    (changed_generator / "history.csv").write_text("")
    generate_shards(changed_generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    place = shard[1] / "toy/synthetic/tiny/full/shard-00001.parquet"
    said_of = [line.partition(f"saved work in {place}: ")[2] for line in said(caplog, "discarded")]
    assert said_of == [
        "temperature 1.0 is now 0.5",
        "inputs changed: generator; temperature 0.5 is now 1.0",
    ]
    assert shard[0].read_bytes() != whole and not said(caplog, "resuming")


def test_a_damaged_stamp_discards_everything(generator, shard, whole, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    kill_shard(monkeypatch, 4, generator, shard)
    stamp = next(shard[1].rglob("stamp.json"))
    stamp.write_text(stamp.read_text()[:50])
    generate_shards(generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    assert said(caplog, "stamp.json is missing or damaged") and not said(caplog, "resuming")
    assert shard[0].read_bytes() == whole


def test_a_stamp_covers_code_and_packages_and_says_what_differs():
    stamp = make_stamp(Provenance("synthetic", {"train": "a"}, {"top_k": 5}, 3), synthetic_shard.__file__, threads=1)
    assert {
        "gendist/stages/synthetic/generate_shards.py",
        "gendist/stages/synthetic/gumbel_sampler.py",
        "gendist/jobs/work_folder.py",
    } <= stamp["code"].keys()
    assert "gendist/analysis/report/table1.py" not in stamp["code"] and stamp["packages"]["torch"] == torch.__version__
    now = json.loads(json.dumps(stamp))
    now["code"]["gendist/stages/synthetic/philox.py"] = "another"
    now["packages"]["torch"] = "99"
    now["extra"]["threads"] = 2
    now["seed"] = 4
    described = describe_differences(stamp, now)
    assert described == (
        "code changed: gendist/stages/synthetic/philox.py; threads 1 is now 2; "
        f"torch {torch.__version__} is now 99; seed 3 is now 4"
    )


def test_a_damaged_checkpoint_starts_the_finetuning_over(gpt2, train_texts, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    settings, target, root = quick(gpt2, epochs=1), tmp_path / "results/tiny", tmp_path / "results/.work"
    finetune_generator(train_texts, tmp_path / "whole", settings)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after(patched, 6)
        finetune_generator(train_texts, target, settings, work=root)
    (checkpoint,) = root.rglob("*.safetensors")
    assert checkpoint.name.startswith("member-0-00000005-")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    finetune_generator(train_texts, target, settings, work=root)
    assert said(caplog, "discarded") == [f"discarded {checkpoint}: damaged"] and not said(caplog, "resuming")
    assert bytes_of(target) == bytes_of(tmp_path / "whole")
    assert not list(root.rglob("member-0-000*"))  # the optimizer's states are gone; the weights are links
    kept = next(root.rglob("model.safetensors"))
    assert kept.samefile(target / "model.safetensors")


def test_a_full_disk_is_a_warning_as_long_as_only_the_keeping_fails(generator, shard, whole, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv(save_timer.SAVE_SECONDS_VARIABLE, "0")
    monkeypatch.setattr(work_folder, "flush_to_disk", full)
    generate_shards(generator, [shard[0]], SETTINGS, first_shard=1, shard_rows=10, work=shard[1])
    assert "cannot save the work so far ([Errno 28] No space left on device)" in caplog.text
    assert shard[0].read_bytes() == whole and not list(shard[1].rglob(".*.part"))


def test_saving_takes_a_small_share_of_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(save_timer.time, "monotonic", lambda: now[0])
    timer = save_timer.SaveTimer(60)
    assert not timer.is_due()
    now[0] = 60.0
    assert timer.is_due()
    with timer.saving():
        now[0] += 6.0  # a big model on a slow disk
    now[0] += 190.0
    assert not timer.is_due()
    now[0] += 20.0
    assert timer.is_due()

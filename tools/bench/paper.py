"""``python -m tools.bench.paper``: estimate the time of the paper's study on this machine.

The rate of each stage is measured with untrained models of the right shape, on a GPU if available, and multiplied by
the amounts of the config. Fast stages are ignored: texts, baselines, reports.
"""

import argparse
import copy
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.config.study import Study
from gendist.config.study_loader import load_study
from gendist.config.study_plan import planned_pools, planned_runs
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.progress_log import format_clock
from gendist.jobs.work_folder import WorkFolder
from gendist.naming import WITH_SYNTHETIC, RunKey
from gendist.nn import devices
from gendist.nn.packed_linear import pack_linear_layers
from gendist.nn.pocket.packaged_files import MODELS
from gendist.nn.pretrained import load_tokenizer
from gendist.stages.generator.finetune_generator import freeze
from gendist.stages.logits.batched_logits import predict_logits
from gendist.stages.logits.int8_cascade import int8_copy
from gendist.stages.logits.score_texts import BATCH_TOKENS, GPU_BATCH_TOKENS, convert_to_bf16
from gendist.stages.students.architectures import build
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.train_seeds import predict_seeds, train_seeds, training_device
from gendist.stages.students.train_student import TrainingSchedule
from gendist.stages.students.training_rows import TrainingRows
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.teacher.finetuning_state import FinetuningState
from gendist.stages.teacher.training_loop import train_epochs
from gendist.stages.texts.text_tables import Texts
from tools.bench.bench_inputs import bert, gpt2, newsbriefs
from tools.bench.finetuning import finetune_one_epoch, random_sequences
from tools.bench.generation import sample_rows
from tools.bench.timed_pairs import Workload, rate
from tools.bench.training import subwords

CONFIG = Path(__file__).parents[2] / "configs" / "paper.yaml"
SIZES = {"ag_news": (4, 7_600), "dbpedia": (14, 70_000), "yahoo_answers": (10, 60_000)}
"""Classes and test rows of the paper's datasets."""
TOKENS = 100
"""Average tokens per text, in all vocabularies."""
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("stage", "unit")] + [(n, pa.float64()) for n in ("amount", "rate", "seconds")]
)


@dataclass(frozen=True)
class Stage:
    """A stage of the study: amount of work in some unit, and measured rate in units per second."""

    stage: str
    unit: str
    amount: float
    rate: float

    @property
    def seconds(self) -> float:
        """Return the estimated time."""
        return self.amount / self.rate


@dataclass(frozen=True)
class Shapes:
    """Models and sizes to measure."""

    generator: Callable[[], Any] = lambda: gpt2("medium")
    teacher: Callable[[], Any] = lambda: bert("large")
    rows: int = 4096
    """Rows scored per measurement."""
    trained: int = 1024
    """Rows for the teacher and the students to train on."""
    generated: int = 8192
    """Rows per measurement of generation."""


def amounts(study: Study, sizes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Return the amount of work of each stage; ``sizes`` are classes and test rows by dataset."""
    real = {name: sizes[name][0] * (study.datasets[name].train_per_class or 0) for name in study.datasets}
    teacher = study.teachers[study.teacher]
    # Upper limit: held-out rows select the number of epochs of the final training.
    epochs = teacher.epochs * (1 - teacher.held_out + teacher.refit * teacher.members)
    found = {
        "finetune generators": float(TOKENS * sum(real.values()) * len(study.generators)),
        "finetune teachers": epochs * sum(real.values()) * len(study.teachers),
        "score real rows": float(sum(real.values()) + sum(sizes[name][1] for name in study.datasets)),
        "score synthetic rows": float(sum(planned_pools(study).values())),
    }
    for (_, _, sampling), rows in planned_pools(study).items():
        key = f"generate, {sampling}"
        found[key] = found.get(key, 0.0) + TOKENS * rows
    for run in planned_runs(study):
        for key, amount in (
            (f"train students, {run.student}", float(_schedule(study, run, real[run.dataset]).steps)),
            (f"test students, {run.student}", float(sizes[run.dataset][1])),
        ):
            found[key] = found.get(key, 0.0) + amount
    return found


def _schedule(study: Study, run: RunKey, n_real: int) -> TrainingSchedule:
    kept = 0 if run.regime == "synthetic" else n_real
    count = run.n_synthetic if run.regime in WITH_SYNTHETIC else 0
    return TrainingSchedule.of(kept + count, kept, study.trainings[study.training], study.students[run.student])


KINDS = ("generate", "finetune", "score", "train", "test")
"""First words of the stages' names, which select stages on the command line."""


def measurements(study: Study, device: torch.device, shapes: Shapes) -> dict[str, tuple[str, Workload]]:
    """Return unit and workload of each stage; models are created on first use."""
    texts, trained = _texts(shapes.rows), _texts(shapes.trained)
    generator, teacher = cache(lambda: shapes.generator().to(device)), cache(lambda: shapes.teacher().to(device))
    found: dict[str, tuple[str, Workload]] = {}
    for name, sampling in study.samplings.items():
        settings = sampling.model_copy(update={"max_tokens": TOKENS})
        if device == devices.CPU and settings.precision == "auto":
            settings = settings.model_copy(update={"precision": "int8"})
        sampler = cache(partial(_sampler, generator, settings))
        found[f"generate, {name}"] = "tokens", partial(_generate, sampler, shapes.generated)
    found["finetune generators"] = "tokens", partial(_finetune, generator, study.generators[study.generator])
    found |= _of_teacher(study, device, teacher, texts=texts, trained=trained)
    for name in study.students:
        found |= _of_student(study, name, device, trained)
    return found


def _sampler(generator: Callable[[], Any], settings: Sampling) -> Sampler:
    model = generator()
    end = model.config.vocab_size - 1
    return Sampler(model.eval(), settings, start=end, end=end)


def _generate(sampler: Callable[[], Sampler], rows: int) -> float:
    return sample_rows(sampler(), range(rows))


def _finetune(generator: Callable[[], Any], tuning: Generator) -> float:
    model = generator()
    freeze(model, tuning)
    return finetune_one_epoch(model, random_sequences(2, tuning.window, model.config), tuning)


def _texts(count: int) -> list[str]:
    """Return texts of about ``TOKENS`` tokens, each joined from two of the packaged dataset."""
    texts = newsbriefs()[0].texts
    return [f"{texts[i % len(texts)]} {texts[(i + 1) % len(texts)]}" for i in range(0, 2 * count, 2)]


def _of_teacher(
    study: Study, device: torch.device, teacher: Callable[[], Any], *, texts: list[str], trained: list[str]
) -> dict[str, tuple[str, Workload]]:
    settings, tokenizer = study.teachers[study.teacher], load_tokenizer(str(MODELS / "generator"))  # BERT's vocabulary

    def train() -> float:
        model = teacher()
        labels = np.arange(len(trained)) % model.config.num_labels
        some = Texts(np.arange(len(trained)), trained, labels, [str(i) for i in range(model.config.num_labels)])
        kept: Checkpoints[FinetuningState] = Checkpoints(WorkFolder(None, Path("teacher"), {}), FinetuningState())
        for _ in train_epochs(model, tokenizer, some, epochs=1, settings=settings, checkpoints=kept):
            pass
        return float(len(trained))

    @cache
    def exact() -> Any:
        return pack_linear_layers(copy.deepcopy(teacher()))

    @cache
    def fast() -> Any:
        if settings.precision != "auto":
            return exact()
        return int8_copy(teacher()) if device == devices.CPU else convert_to_bf16(copy.deepcopy(teacher()))

    def score(model: Callable[[], Any]) -> float:
        fixed = BATCH_TOKENS if device == devices.CPU else GPU_BATCH_TOKENS
        return float(len(predict_logits(model(), tokenizer, texts, settings.max_tokens, batch_tokens=fixed)))

    return {
        "finetune teachers": ("rows", train),
        "score real rows": ("rows", partial(score, exact)),
        "score synthetic rows": ("rows", partial(score, fast)),
    }


def _of_student(study: Study, name: str, device: torch.device, texts: list[str]) -> dict[str, tuple[str, Workload]]:
    """Return the workloads of a student with all seeds of the study: in parallel on a GPU, else one at a time."""
    student, classes, seeds = study.students[name], 10, study.seed_list
    training = study.trainings[study.training].model_copy(update={"min_steps": 30, "max_steps": 30})

    @cache
    def prepared() -> tuple[Any, ...]:
        encoded = PieceIds.joined([encode_pieces(subwords(), texts, training.max_pieces)] * 4)
        rows = TrainingRows([""] * len(encoded), None, torch.randn(len(encoded), classes), 0)
        build_one = partial(build, subwords().vectors, student, classes)
        return encoded, rows, build_one, training_device(build_one, device)

    def fitted() -> list[torch.nn.Module]:
        encoded, rows, build_one, place = prepared()
        return train_seeds(build_one, encoded, rows, student=student, training=training, seeds=seeds, device=place)

    networks = cache(fitted)

    def train() -> float:
        fitted()
        return 30.0 * len(seeds)

    def test() -> float:
        encoded, _, _, place = prepared()
        predict_seeds(networks(), encoded, place)
        return float(len(encoded) * len(seeds))

    return {f"train students, {name}": ("steps", train), f"test students, {name}": ("rows", test)}


def stages(
    study: Study,
    device: torch.device,
    shapes: Shapes,
    *,
    sizes: Mapping[str, tuple[int, int]],
    kinds: Sequence[str] = KINDS,
) -> Iterator[Stage]:
    """Measure the stages whose names start with one of ``kinds``; yield each as soon as it is measured."""
    found = measurements(study, device, shapes)
    for name, amount in amounts(study, sizes).items():
        if name.startswith(tuple(kinds)):
            unit, work = found[name]
            yield Stage(name, unit, amount, rate(work))


def table(made: Sequence[Stage]) -> str:
    """Return a Markdown table of the stages and their sum."""
    lines = ["| stage | amount | rate, 1/s | h:mm:ss |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {s.stage} | {s.amount:,.0f} {s.unit} | {s.rate:,.4g} | {format_clock(s.seconds)} |" for s in made]
    return "\n".join([*lines, f"| one after the other | | | {format_clock(sum(s.seconds for s in made))} |"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the stages, print the table and write it as Parquet."""
    top = argparse.ArgumentParser(
        prog="python -m tools.bench.paper",
        description="Measure the stages of the paper's study and estimate its total time.",
    )
    chosen = f"stages to measure, by their first word: {', '.join(KINDS)} (default: all)"
    top.add_argument("stages", nargs="*", metavar="STAGE", help=chosen)
    top.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help="default: %(default)s")
    top.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: %(default)s)")
    top.add_argument("--out", type=Path, default=Path("results/bench"), metavar="DIR", help="default: %(default)s")
    args = top.parse_args(arguments)
    if unknown := [name for name in args.stages if name not in KINDS]:
        top.error(f"unknown stage '{unknown[0]}'; accepted: {', '.join(KINDS)}")
    if args.threads < 1:
        top.error("--threads must be at least 1")
    if args.out.exists() and not args.out.is_dir():
        top.error(f"--out {args.out} is not a folder")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = devices.prepare(args.threads, 0, args.device)
    shapes = Shapes() if device.type == "cuda" else Shapes(rows=16, trained=16, generated=16)
    made: list[Stage] = []
    for stage in stages(load_study(CONFIG), device, shapes, sizes=SIZES, kinds=args.stages or KINDS):
        made.append(stage)
        print(table([stage]).splitlines()[2], file=sys.stderr, flush=True)
        rows = [{name: getattr(stage, name) for name in SCHEMA.names} for stage in made]
        write_parquet(args.out / "paper.parquet", pa.Table.from_pylist(rows, SCHEMA), Provenance("bench"))
    print(table(sorted(made, key=lambda stage: -stage.seconds)), flush=True)
    print(f"Also in {args.out}/paper.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main())

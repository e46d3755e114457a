"""``python -m tools.bench.paper``: how long the paper's whole study takes on this machine.

Its stages are measured with untrained models of the right shape, on the GPU if there is one, one after the other, and
multiplied by what the config asks for. Left out is what takes little beside them: reading texts, baselines, reports.
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
from gendist.nn.pretrained import load_tokenizer
from gendist.stages.generator.finetune import freeze
from gendist.stages.logits.batches import predict_logits
from gendist.stages.logits.cascade import in_integers
from gendist.stages.logits.score import FIXED, FIXED_ON_GPU, in_bf16
from gendist.stages.students.architectures import build
from gendist.stages.students.data import TrainingRows
from gendist.stages.students.pieces import Pieces
from gendist.stages.students.run import encode
from gendist.stages.students.seeds import device_for, fitted_seeds, logits_of_seeds
from gendist.stages.students.train import Schedule
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.teacher.course import Course
from gendist.stages.teacher.finetune import trained_epochs
from gendist.stages.texts.tables import Texts
from tools.bench.finetuning import finetuned, stream
from tools.bench.generation import written
from tools.bench.material import bert, gpt2, newsbriefs
from tools.bench.pairs import Work, rate
from tools.bench.training import subwords

CONFIG = Path(__file__).parents[2] / "configs" / "paper.yaml"
SIZES = {"ag_news": (4, 7_600), "dbpedia": (14, 70_000), "yahoo_answers": (10, 60_000)}
"""Classes and test rows of the paper's datasets."""
TOKENS = 100
"""Of a text, on average, in all vocabularies."""
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("stage", "unit")] + [(n, pa.float64()) for n in ("amount", "rate", "seconds")]
)


@dataclass(frozen=True)
class Stage:
    """A part of the study: how much of what there is to do, and how much of it is done in a second."""

    stage: str
    unit: str
    amount: float
    rate: float

    @property
    def seconds(self) -> float:
        """Return how long it takes."""
        return self.amount / self.rate


@dataclass(frozen=True)
class Shapes:
    """Models that are measured."""

    generator: Callable[[], Any] = lambda: gpt2("medium")
    teacher: Callable[[], Any] = lambda: bert("large")
    rows: int = 1024
    """Rows of a measurement that has a choice."""
    generated: int = 8192
    """Rows that are generated."""


def amounts(study: Study, sizes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Return how much there is to do of each stage; ``sizes`` are classes and test rows by dataset."""
    real = {name: sizes[name][0] * (study.datasets[name].train_per_class or 0) for name in study.datasets}
    teacher = study.teachers[study.teacher]
    # The held-out rows decide how many epochs the second training has: all of them at most.
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


def _schedule(study: Study, run: RunKey, n_real: int) -> Schedule:
    kept = 0 if run.regime == "synthetic" else n_real
    count = run.n_synthetic if run.regime in WITH_SYNTHETIC else 0
    return Schedule.of(kept + count, kept, study.trainings[study.training])


KINDS = ("generate", "finetune", "score", "train", "test")
"""First words of the stages, by which some of them are chosen."""


def measurements(study: Study, device: torch.device, shapes: Shapes) -> dict[str, tuple[str, Work]]:
    """Return the unit of each stage, and what does some of it: models are made once they are needed."""
    texts = _texts(shapes.rows)
    generator, teacher = cache(lambda: shapes.generator().to(device)), cache(lambda: shapes.teacher().to(device))
    found: dict[str, tuple[str, Work]] = {}
    for name, sampling in study.samplings.items():
        settings = sampling.model_copy(update={"max_tokens": TOKENS})
        if device == devices.CPU and settings.precision == "auto":
            settings = settings.model_copy(update={"precision": "int8"})
        sampler = cache(partial(_sampler, generator, settings))
        found[f"generate, {name}"] = "tokens", partial(_generate, sampler, shapes.generated)
    found["finetune generators"] = "tokens", partial(_finetune, generator, study.generators[study.generator])
    found |= _of_teacher(study, device, teacher, texts)
    for name in study.students:
        found |= _of_student(study, name, device, texts)
    return found


def _sampler(generator: Callable[[], Any], settings: Sampling) -> Sampler:
    model = generator()
    end = model.config.vocab_size - 1
    return Sampler(model.eval(), end, end, [], settings)


def _generate(sampler: Callable[[], Sampler], rows: int) -> float:
    return written(sampler(), range(rows))


def _finetune(generator: Callable[[], Any], tuning: Generator) -> float:
    model = generator()
    freeze(model, tuning)
    return finetuned(model, stream(2, tuning.window, model.config), tuning)


def _texts(count: int) -> list[str]:
    """Return real texts of about ``TOKENS`` tokens: two of the embedded dataset each."""
    texts = newsbriefs()[0].texts
    return [f"{texts[i % len(texts)]} {texts[(i + 1) % len(texts)]}" for i in range(0, 2 * count, 2)]


def _of_teacher(
    study: Study, device: torch.device, teacher: Callable[[], Any], texts: list[str]
) -> dict[str, tuple[str, Work]]:
    settings, tokenizer = study.teachers[study.teacher], load_tokenizer("minilm")  # BERT's vocabulary

    def train() -> float:
        model = teacher()
        labels = np.arange(len(texts)) % model.config.num_labels
        some = Texts(np.arange(len(texts)), texts, labels, [str(i) for i in range(model.config.num_labels)])
        kept: Checkpoints[Course] = Checkpoints(WorkFolder(None, Path("teacher"), {}), Course())
        for _ in trained_epochs(model, tokenizer, some, 1, settings, kept):
            pass
        return float(len(texts))

    @cache
    def exact() -> Any:
        return pack_linear_layers(copy.deepcopy(teacher()))

    @cache
    def fast() -> Any:
        if settings.precision != "auto":
            return exact()
        return in_integers(teacher()) if device == devices.CPU else in_bf16(copy.deepcopy(teacher()))

    def score(model: Callable[[], Any]) -> float:
        fixed = FIXED if device == devices.CPU else FIXED_ON_GPU
        return float(len(predict_logits(model(), tokenizer, texts, settings.max_tokens, fixed=fixed)))

    return {
        "finetune teachers": ("rows", train),
        "score real rows": ("rows", partial(score, exact)),
        "score synthetic rows": ("rows", partial(score, fast)),
    }


def _of_student(study: Study, name: str, device: torch.device, texts: list[str]) -> dict[str, tuple[str, Work]]:
    """Students with as many seeds as the study has: side by side on a GPU, else one after the other."""
    student, classes, seeds = study.students[name], 10, study.seed_list
    training = study.trainings[study.training].model_copy(update={"min_steps": 30, "max_steps": 30})

    @cache
    def prepared() -> tuple[Any, ...]:
        encoded = Pieces.joined([encode(subwords(), texts, training.max_pieces)] * 4)
        rows = TrainingRows([""] * len(encoded), None, torch.randn(len(encoded), classes), 0)
        build_one = partial(build, subwords().vectors, student, classes)
        return encoded, rows, build_one, device_for(build_one, device)

    def fitted() -> list[torch.nn.Module]:
        encoded, rows, build_one, place = prepared()
        return fitted_seeds(build_one, encoded, rows, student, training, seeds, place)

    networks = cache(fitted)

    def train() -> float:
        fitted()
        return 30.0 * len(seeds)

    def test() -> float:
        encoded, _, _, place = prepared()
        logits_of_seeds(networks(), encoded, place)
        return float(len(encoded) * len(seeds))

    return {f"train students, {name}": ("steps", train), f"test students, {name}": ("rows", test)}


def stages(
    study: Study,
    device: torch.device,
    shapes: Shapes,
    sizes: Mapping[str, tuple[int, int]],
    kinds: Sequence[str] = KINDS,
) -> Iterator[Stage]:
    """Measure the stages of a study that begin with one of ``kinds``, and yield each as soon as it is measured."""
    found = measurements(study, device, shapes)
    for name, amount in amounts(study, sizes).items():
        if name.startswith(tuple(kinds)):
            unit, work = found[name]
            yield Stage(name, unit, amount, rate(work))


def table(made: Sequence[Stage]) -> str:
    """Return the stages as Markdown, with their sum."""
    lines = ["| stage | amount | rate, 1/s | h:mm:ss |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {s.stage} | {s.amount:,.0f} {s.unit} | {s.rate:,.4g} | {format_clock(s.seconds)} |" for s in made]
    return "\n".join([*lines, f"| one after the other | | | {format_clock(sum(s.seconds for s in made))} |"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the table."""
    top = argparse.ArgumentParser(
        prog="python -m tools.bench.paper", description="Measure stages, and tell how long the paper's study takes."
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
        top.error(f"--out {args.out} is no folder")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = devices.prepare(args.threads, 0, args.device)
    shapes = Shapes() if device.type == "cuda" else Shapes(rows=16, generated=16)
    made: list[Stage] = []
    for stage in stages(load_study(CONFIG), device, shapes, SIZES, args.stages or KINDS):
        made.append(stage)
        print(table([stage]).splitlines()[2], file=sys.stderr, flush=True)
        rows = [{name: getattr(stage, name) for name in SCHEMA.names} for stage in made]
        write_parquet(args.out / "paper.parquet", pa.Table.from_pylist(rows, SCHEMA), Provenance("bench"))
    print(table(sorted(made, key=lambda stage: -stage.seconds)), flush=True)
    print(f"Also in {args.out}/paper.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m gendist.bench.paper``: how long the paper's whole study takes on this machine.

Its stages are measured with untrained models of the right shape, on the GPU if there is one, one after the other, and
multiplied by what the config asks for. Left out is what takes little beside them: reading texts, baselines, reports.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from gendist import devices
from gendist.artifacts import Provenance, write_parquet
from gendist.bench.finetuning import finetuned, stream
from gendist.bench.generation import written
from gendist.bench.material import bert, gpt2, newsbriefs
from gendist.bench.pairs import rate
from gendist.bench.training import subwords
from gendist.config.load import load_study
from gendist.config.plan import planned_pools, planned_runs
from gendist.config.study import Study
from gendist.generator.finetune import freeze
from gendist.logits.batches import predict_logits
from gendist.logits.cascade import in_integers
from gendist.models import load_tokenizer
from gendist.packed import pack_linear_layers
from gendist.progress import clock
from gendist.resume.training import Checkpoints
from gendist.resume.work import WorkFolder
from gendist.students.architectures import build
from gendist.students.data import TrainingRows
from gendist.students.pieces import Pieces
from gendist.students.run import encode
from gendist.students.seeds import device_for, fitted_seeds, logits_of_seeds
from gendist.students.train import Schedule
from gendist.synthetic.sampler import Sampler
from gendist.systems import WITH_SYNTHETIC, Run
from gendist.teacher.course import Course
from gendist.teacher.finetune import trained_epochs
from gendist.texts.tables import Texts

CONFIG = Path(__file__).parents[2] / "configs" / "paper.yaml"
SIZES = {"ag_news": (4, 7_600), "dbpedia": (14, 70_000), "yahoo_answers": (10, 60_000)}
"""Classes and test rows of the paper's datasets."""
TOKENS = 100
"""Of a text, on average, in all vocabularies."""
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("stage", "unit")] + [(n, pa.float64()) for n in ("amount", "rate", "seconds")]
)


Rates = dict[str, tuple[str, float]]
"""Unit, and how many of them a second, by stage."""


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


def _schedule(study: Study, run: Run, n_real: int) -> Schedule:
    kept = 0 if run.regime == "synthetic" else n_real
    count = run.n_synthetic if run.regime in WITH_SYNTHETIC else 0
    return Schedule.of(kept + count, kept, study.trainings[study.training])


def rates(study: Study, device: torch.device, shapes: Shapes) -> Rates:
    """Measure each stage on a device; returns unit and rate per second by stage."""
    texts = _texts(shapes.rows)
    found = _generator_rates(study, device, shapes) | _teacher_rates(study, device, shapes, texts)
    for name in study.students:
        found |= _student_rates(study, name, device, texts)
    return found


def _generator_rates(study: Study, device: torch.device, shapes: Shapes) -> Rates:
    found = {}
    model = shapes.generator().to(device)
    end = model.config.vocab_size - 1
    for name, sampling in study.samplings.items():
        precision = "int8" if sampling.precision == "auto" else sampling.precision
        settings = sampling.model_copy(update={"max_tokens": TOKENS, "precision": precision})
        sampler = Sampler(model, end, end, [], settings)
        found[f"generate, {name}"] = "tokens", rate(partial(written, sampler, range(shapes.rows)))
    tuning = study.generators[study.generator]
    freeze(model, tuning)
    rows = stream(2, tuning.window, model.config)
    found["finetune generators"] = "tokens", rate(lambda: finetuned(model, rows, tuning))
    return found


def _texts(count: int) -> list[str]:
    """Return real texts of about ``TOKENS`` tokens: two of the embedded dataset each."""
    texts = newsbriefs()[0].texts
    return [f"{texts[i % len(texts)]} {texts[(i + 1) % len(texts)]}" for i in range(0, 2 * count, 2)]


def _teacher_rates(study: Study, device: torch.device, shapes: Shapes, texts: list[str]) -> Rates:
    settings, tokenizer = study.teachers[study.teacher], load_tokenizer("minilm")  # BERT's vocabulary
    model = shapes.teacher().to(device)
    labels = np.arange(len(texts)) % model.config.num_labels
    some = Texts(np.arange(len(texts)), texts, labels, [str(i) for i in range(model.config.num_labels)])

    def train() -> float:
        kept: Checkpoints[Course] = Checkpoints(WorkFolder(None, Path("teacher"), {}), Course())
        for _ in trained_epochs(model, tokenizer, some, 1, settings, kept):
            pass
        return float(len(texts))

    def score(scored: Any) -> float:
        return float(len(predict_logits(scored, tokenizer, texts, settings.max_tokens)))

    found = {"finetune teachers": ("rows", rate(train))}
    fast = in_integers(model) if device == devices.CPU and settings.precision == "auto" else model
    exact = pack_linear_layers(model)
    found["score real rows"] = "rows", rate(lambda: score(exact))
    found["score synthetic rows"] = "rows", rate(lambda: score(fast))
    return found


def _student_rates(study: Study, name: str, device: torch.device, texts: list[str]) -> Rates:
    """Measure students with as many seeds as the study has: side by side on a GPU, else one after the other."""
    student, classes = study.students[name], 10
    training = study.trainings[study.training].model_copy(update={"min_steps": 30, "max_steps": 30})
    encoded = Pieces.joined([encode(subwords(), texts, training.max_pieces)] * 4)
    rows = TrainingRows([""] * len(encoded), None, torch.randn(len(encoded), classes), 0)

    build_one = partial(build, subwords().vectors, student, classes)
    place = device_for(build_one, device)
    seeds = study.seed_list
    networks: list[torch.nn.Module] = []

    def train() -> float:
        networks[:] = fitted_seeds(build_one, encoded, rows, student, training, seeds, place)
        return 30.0 * len(seeds)

    def test() -> float:
        logits_of_seeds(networks, encoded, place)
        return float(len(encoded) * len(seeds))

    return {f"train students, {name}": ("steps", rate(train)), f"test students, {name}": ("rows", rate(test))}


def stages(study: Study, device: torch.device, shapes: Shapes, sizes: Mapping[str, tuple[int, int]]) -> list[Stage]:
    """Return the stages of a study, the longest first."""
    measured = rates(study, device, shapes)
    made = [Stage(name, measured[name][0], amount, measured[name][1]) for name, amount in amounts(study, sizes).items()]
    return sorted(made, key=lambda stage: -stage.seconds)


def table(made: Sequence[Stage]) -> str:
    """Return the stages as Markdown, with their sum."""
    lines = ["| stage | amount | rate, 1/s | h:mm:ss |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {s.stage} | {s.amount:,.0f} {s.unit} | {s.rate:,.4g} | {clock(s.seconds)} |" for s in made]
    return "\n".join([*lines, f"| one after the other | | | {clock(sum(s.seconds for s in made))} |"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the table."""
    top = argparse.ArgumentParser(
        prog="python -m gendist.bench.paper", description="Measure stages, and tell how long the paper's study takes."
    )
    top.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help="default: %(default)s")
    top.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: %(default)s)")
    top.add_argument("--out", type=Path, default=Path("results/bench"), metavar="DIR", help="default: %(default)s")
    args = top.parse_args(arguments)
    if args.threads < 1:
        top.error("--threads must be at least 1")
    if args.out.exists() and not args.out.is_dir():
        top.error(f"--out {args.out} is no folder")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = devices.prepare(args.threads, 0, args.device)
    shapes = Shapes() if device.type == "cuda" else Shapes(rows=16)
    made = stages(load_study(CONFIG), device, shapes, SIZES)
    print(table(made), flush=True)
    rows = [{name: getattr(stage, name) for name in SCHEMA.names} for stage in made]
    write_parquet(args.out / "paper.parquet", pa.Table.from_pylist(rows, SCHEMA), Provenance("bench"))
    print(f"Also in {args.out}/paper.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main())

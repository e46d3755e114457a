"""Which runs a study needs: a study is a set of requested files."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gendist.config.study import Study
from gendist.systems import WITH_SYNTHETIC, variant_name


class Run(NamedTuple):
    """One student run; the fields are the wildcards of its path."""

    dataset: str
    student: str
    regime: str
    variant: str
    n_synthetic: int
    seed: int


def planned_runs(study: Study) -> list[Run]:
    """Return every student run of a study once, in a stable order."""
    return list(dict.fromkeys(run for dataset in study.datasets for run in _runs(study, dataset)))


def sampling_count(study: Study, dataset: str) -> int:
    """Return the synthetic rows of the sampling comparison."""
    return min(study.sampling_rows, study.datasets[dataset].synthetic)


def named_variants(study: Study) -> dict[str, list[str]]:
    """Return the names of the teachers, generators and trainings after the main one of each kind."""
    kinds: dict[str, Iterable[str]] = {
        "teacher": study.teachers,
        "generator": study.generators,
        "training": study.trainings,
    }
    return {kind: list(names)[1:] for kind, names in kinds.items()}


def detailed_runs(study: Study) -> list[Run]:
    """Return the runs that the report may show in detail: gendist with all that is main, and every synthetic row."""
    names = {"teacher": study.teacher, "generator": study.generator, "sampling": study.sampling}
    main = variant_name("gendist", **names, training=study.training)
    return [
        run
        for run in planned_runs(study)
        if run.variant == main and run.regime == "gendist" and run.n_synthetic == study.datasets[run.dataset].synthetic
    ]


def _runs(study: Study, dataset: str) -> Iterator[Run]:
    full = study.datasets[dataset].synthetic
    curve = study.curve_student

    def runs(student: str, regime: str, count: int = full, **changed: str) -> Iterator[Run]:
        names = {"teacher": study.teacher, "generator": study.generator, "sampling": study.sampling}
        variant = variant_name(regime, **(names | {"training": study.training} | changed))
        for seed in study.seed_list:
            yield Run(dataset, student, regime, variant, count if regime in WITH_SYNTHETIC else 0, seed)

    for _, student, regime in study.parsed_systems:
        if student is not None and regime is not None:
            yield from runs(student, regime)
    for count in study.curve_counts(dataset):  # Figure 2, with dist as its reference line
        yield from runs(curve, "synthetic", count)
    yield from runs(curve, "dist")
    yield from runs(curve, "hard")  # Table 2, against gendist
    yield from runs(curve, "gendist")
    if len(study.samplings) > 1:
        for sampling in study.samplings:
            yield from runs(curve, "synthetic", sampling_count(study, dataset), sampling=sampling)
    for kind, others in named_variants(study).items():
        for name in others:
            yield from runs(curve, "gendist", full, **{kind: name})

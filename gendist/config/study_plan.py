"""The runs and pools that a study requests."""

from collections.abc import Iterable, Iterator

from gendist.config.study import Study
from gendist.naming import BASELINES, UNSEEDED, WITH_SYNTHETIC, WITH_UNLABELLED, RunKey, parse_system, variant_name

SINGLE_SHARDS = 200
"""Shards of a pool that are jobs of their own and inputs of the jobs that read them. Further shards are generated and
scored in tens, and larger pools are read through an index, because each job costs about 4 ms of planning."""
MANY_SHARDS = 20_000
"""Shards of a study that are planned in 20 seconds (docs/notes/scale.md)."""
FEW_SHARDS = 300
"""Shards of a study with the suggested ``shard_rows``, at most."""
EXPORTED = ("gendist", *WITH_UNLABELLED)
"""Regimes among which a study exports by default, if it has any."""
SHARD_SIZES = (1000, 2000, 5000, 10_000, 20_000, 50_000)
"""Values of ``shard_rows`` to suggest."""


def planned_runs(study: Study) -> list[RunKey]:
    """Return every student run of a study, without duplicates, in a stable order."""
    return list(dict.fromkeys(run for dataset in study.datasets for run in _runs(study, dataset)))


def baseline_seeds(study: Study) -> dict[str, list[int]]:
    """Return the seeds of each baseline of a study; deterministic ones have one."""
    seeds = study.seed_list
    return {name: seeds[:1] if name in UNSEEDED else seeds for name in study.systems if name in BASELINES}


def timed_runs(study: Study, dataset: str) -> dict[str, RunKey]:
    """Return the run to measure costs on, by student: the first seed of its first system."""
    first: dict[str, RunKey] = {}
    for _, student, regime in study.parsed_systems:
        if student is not None and regime is not None and student not in first:
            first |= {run.student: run for run in _first_seed(study, dataset, student, regime)}
    return first


def sampling_count(study: Study, dataset: str) -> int:
    """Return the synthetic rows of the sampling comparison."""
    return min(study.sampling_rows, study.datasets[dataset].synthetic)


def planned_pools(study: Study) -> dict[tuple[str, str, str], int]:
    """Return the rows of every pool of a study by (dataset, generator, sampling), the main pool of a dataset first."""
    pools: dict[tuple[str, str, str], int] = {}
    for dataset in study.datasets:
        full, compared = study.datasets[dataset].synthetic, sampling_count(study, dataset)
        pools[dataset, study.generator, study.sampling] = full
        for sampling in study.compared_samplings[1:]:
            pools[dataset, study.generator, sampling] = compared
        for generator in list(study.generators)[1:]:
            pools[dataset, generator, study.sampling] = full
    return pools


def too_many_shards(study: Study) -> str | None:
    """Return advice on ``shard_rows`` if the study has so many shards that planning takes minutes, else None."""
    pools = planned_pools(study).values()
    shards = sum(-(-rows // study.shard_rows) for rows in pools)
    if shards <= MANY_SHARDS:
        return None
    better = next((size for size in SHARD_SIZES if sum(-(-rows // size) for rows in pools) <= FEW_SHARDS), None)
    if better is None or better <= study.shard_rows:
        return f"{shards:,} shards: planning takes minutes and gigabytes (docs/notes/scale.md)"
    return f"{shards:,} shards of {study.shard_rows:,} rows: planning takes minutes; consider shard_rows: {better}"


def named_variants(study: Study) -> dict[str, list[str]]:
    """Return the teachers, generators and trainings other than the main ones, by kind."""
    kinds: dict[str, Iterable[str]] = {
        "teacher": study.teachers,
        "generator": study.generators,
        "training": study.trainings,
    }
    return {kind: list(names)[1:] for kind, names in kinds.items()}


def export_candidates(study: Study, dataset: str) -> list[RunKey]:
    """Return the runs to choose the exported student from: main variant, all synthetic rows, first seed.

    Without ``export.systems``: the study's systems with a regime of ``EXPORTED``, else all its students, else the curve
    student.
    """
    students = [system for system in study.parsed_systems if system.regime is not None]
    if study.export.systems is not None:
        students = [parse_system(name, study.students) for name in study.export.systems]
    elif any(system.regime in EXPORTED for system in students):
        students = [system for system in students if system.regime in EXPORTED]
    pairs = [(s.student, s.regime) for s in students if s.student and s.regime]
    runs = [run for student, regime in pairs for run in _first_seed(study, dataset, student, regime)]
    return runs or _first_seed(study, dataset, study.curve_student, "gendist")


def can_export(study: Study) -> bool:
    """Whether all export candidates can be exported; students with BPEmb's tokenizer cannot."""
    students = {run.student for dataset in study.datasets for run in export_candidates(study, dataset)}
    return not any(study.students[name].embeddings.startswith("bpemb:") for name in students)


def exported_datasets(study: Study) -> list[str]:
    """Return the datasets for which the study exports a student: all of them, or none."""
    return list(study.datasets) if study.export.enabled and can_export(study) else []


def detailed_runs(study: Study) -> list[RunKey]:
    """Return the runs that the report can show in detail: gendist, main variant, all synthetic rows."""
    names = {"teacher": study.teacher, "generator": study.generator, "sampling": study.sampling}
    main = variant_name("gendist", **names, training=study.training)
    return [
        run
        for run in planned_runs(study)
        if run.variant == main and run.regime == "gendist" and run.n_synthetic == study.datasets[run.dataset].synthetic
    ]


def _runs(study: Study, dataset: str) -> Iterator[RunKey]:
    curve = study.curve_student
    for _, student, regime in study.parsed_systems:
        if student is not None and regime is not None:
            yield from _student_runs(study, dataset, student=student, regime=regime)
    for count in study.curve_counts(dataset):  # Figure 2, with dist as its reference line
        yield from _student_runs(study, dataset, student=curve, regime="synthetic", count=count)
    yield from _student_runs(study, dataset, student=curve, regime="dist")
    yield from _student_runs(study, dataset, student=curve, regime="hard")  # Table 2, against gendist
    yield from _student_runs(study, dataset, student=curve, regime="gendist")
    for sampling in study.compared_samplings:
        count = sampling_count(study, dataset)
        yield from _student_runs(study, dataset, student=curve, regime="synthetic", count=count, sampling=sampling)
    if study.datasets[dataset].unlabelled is not None:  # the figure of rows
        for regime, counts in rows_counts(study, dataset).items():
            for count in counts:
                yield from _student_runs(study, dataset, student=curve, regime=regime, count=count)
    for kind, others in named_variants(study).items():
        for name in others:
            changed = {kind: name}
            yield from _student_runs(study, dataset, student=curve, regime="gendist", count=None, **changed)


def _first_seed(study: Study, dataset: str, student: str, regime: str) -> list[RunKey]:
    """Return the run with the first seed; an empty list if the dataset lacks the regime's rows."""
    return list(_student_runs(study, dataset, student=student, regime=regime))[:1]


def rows_counts(study: Study, dataset: str) -> dict[str, list[int]]:
    """Return the counts along each curve of the figure of rows, by regime; ``gendist-unlabelled`` counts synthetic
    rows.
    """
    generated, unlabelled = study.curve_counts(dataset), study.unlabelled_counts(dataset)
    return {"gendist": generated, "unlabelled": unlabelled, "gendist-unlabelled": generated}


def _student_runs(
    study: Study, dataset: str, *, student: str, regime: str, count: int | None = None, **changed: str
) -> Iterator[RunKey]:
    """Yield a run for each seed; none if the regime needs unlabelled rows and the dataset has none.

    Args:
        study: the study.
        dataset: name of the dataset.
        student: name of the student.
        regime: the regime.
        count: synthetic (or unlabelled) rows; all by default.
        changed: entries that differ from the main variant, by kind.
    """
    entry = study.datasets[dataset]
    if regime in WITH_UNLABELLED and entry.unlabelled is None:
        return
    names = {"teacher": study.teacher, "generator": study.generator, "sampling": study.sampling}
    variant = variant_name(regime, **(names | {"training": study.training} | changed))
    full = entry.synthetic if regime in WITH_SYNTHETIC else entry.n_unlabelled if regime in WITH_UNLABELLED else 0
    rows = full if count is None else count
    for seed in study.seed_list:
        yield RunKey(dataset, student, regime, variant, rows, seed)

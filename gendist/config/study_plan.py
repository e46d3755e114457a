"""Which runs a study needs: a study is a set of requested files."""

from collections.abc import Iterable, Iterator

from gendist.config.study import Study
from gendist.naming import BASELINES, UNSEEDED, WITH_SYNTHETIC, WITH_UNLABELLED, RunKey, parse_system, variant_name

MANY_SHARDS = 1000
"""Shards of all pools from which on a study is slow to plan: a shard costs about 6 ms, and 0.1 MB (docs/scale.md)."""
FEW_SHARDS = 300
EXPORTED = ("gendist", *WITH_UNLABELLED)
"""Regimes with rows beside the labelled ones: where the study has such systems, one of them is exported."""
SHARD_SIZES = (1000, 2000, 5000, 10_000, 20_000, 50_000)
"""Values of ``shard_rows`` that are suggested."""


def planned_runs(study: Study) -> list[RunKey]:
    """Return every student run of a study once, in a stable order."""
    return list(dict.fromkeys(run for dataset in study.datasets for run in _runs(study, dataset)))


def baseline_seeds(study: Study) -> dict[str, list[int]]:
    """Return the baselines of a study, each with its seeds; one in which nothing is random runs once."""
    seeds = study.seed_list
    return {name: seeds[:1] if name in UNSEEDED else seeds for name in study.systems if name in BASELINES}


def timed_runs(study: Study, dataset: str) -> dict[str, RunKey]:
    """Return the run whose costs are measured, by student: of its first system, with the first seed."""
    first: dict[str, RunKey] = {}
    for _, student, regime in study.parsed_systems:
        if student is not None and regime is not None and student not in first:
            first |= {run.student: run for run in _first_seed(study, dataset, student, regime)}
    return first


def sampling_count(study: Study, dataset: str) -> int:
    """Return the synthetic rows of the sampling comparison."""
    return min(study.sampling_rows, study.datasets[dataset].synthetic)


def planned_pools(study: Study) -> dict[tuple[str, str, str], int]:
    """Return the rows of every pool that a study uses, by (dataset, generator, sampling), the main one first."""
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
    """Return a line of advice if the pools of a study have so many shards that planning it takes minutes."""
    pools = planned_pools(study).values()
    shards = sum(-(-rows // study.shard_rows) for rows in pools)
    if shards <= MANY_SHARDS:
        return None
    better = next((size for size in SHARD_SIZES if sum(-(-rows // size) for rows in pools) <= FEW_SHARDS), None)
    if better is None or better <= study.shard_rows:
        return f"{shards:,} shards: planning takes minutes and gigabytes (docs/scale.md)"
    return f"{shards:,} shards of {study.shard_rows:,} rows: planning takes minutes; consider shard_rows: {better}"


def named_variants(study: Study) -> dict[str, list[str]]:
    """Return the names of the teachers, generators and trainings after the main one of each kind."""
    kinds: dict[str, Iterable[str]] = {
        "teacher": study.teachers,
        "generator": study.generators,
        "training": study.trainings,
    }
    return {kind: list(names)[1:] for kind, names in kinds.items()}


def export_candidates(study: Study, dataset: str) -> list[RunKey]:
    """Return the runs of which the best on held-out rows is exported: main variant, all synthetic rows, first seed.

    Without a list in the config: the systems of the study with synthetic or unlabelled rows beside the labelled ones,
    else all its students, else the curve student.
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
    """Tell whether all students that an export chooses among can be exported: BPEmb's tokenizer cannot."""
    students = {run.student for dataset in study.datasets for run in export_candidates(study, dataset)}
    return not any(study.students[name].embeddings.startswith("bpemb:") for name in students)


def exported_datasets(study: Study) -> list[str]:
    """Return the datasets whose best student the study exports: all of them, or none."""
    return list(study.datasets) if study.export.enabled and can_export(study) else []


def detailed_runs(study: Study) -> list[RunKey]:
    """Return the runs that the report may show in detail: gendist with all that is main, and every synthetic row."""
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
            yield from _of_student(study, dataset, student, regime)
    for count in study.curve_counts(dataset):  # Figure 2, with dist as its reference line
        yield from _of_student(study, dataset, curve, "synthetic", count)
    yield from _of_student(study, dataset, curve, "dist")
    yield from _of_student(study, dataset, curve, "hard")  # Table 2, against gendist
    yield from _of_student(study, dataset, curve, "gendist")
    for sampling in study.compared_samplings:
        count = sampling_count(study, dataset)
        yield from _of_student(study, dataset, curve, "synthetic", count, sampling=sampling)
    if study.datasets[dataset].unlabelled is not None:  # the figure of rows
        for regime, counts in rows_counts(study, dataset).items():
            for count in counts:
                yield from _of_student(study, dataset, curve, regime, count)
    for kind, others in named_variants(study).items():
        for name in others:
            yield from _of_student(study, dataset, curve, "gendist", None, **{kind: name})


def _first_seed(study: Study, dataset: str, student: str, regime: str) -> list[RunKey]:
    """Return the run with the first seed; none where the dataset lacks the regime's rows."""
    return list(_of_student(study, dataset, student, regime))[:1]


def rows_counts(study: Study, dataset: str) -> dict[str, list[int]]:
    """Return the counts along each curve of the figure of rows, by regime; those of both are of synthetic rows."""
    generated, unlabelled = study.curve_counts(dataset), study.unlabelled_counts(dataset)
    return {"gendist": generated, "unlabelled": unlabelled, "gendist-unlabelled": generated}


def _of_student(
    study: Study, dataset: str, student: str, regime: str, count: int | None = None, **changed: str
) -> Iterator[RunKey]:
    """Yield a run for each seed: of the main variant but for what is ``changed``, with ``count`` or all rows.

    None of a regime that needs unlabelled rows if the dataset has none.
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

"""Which runs a study needs: a study is a set of requested files."""

from collections.abc import Iterable, Iterator

from gendist.config.study import Study
from gendist.systems import BASELINES, UNSEEDED, WITH_SYNTHETIC, Run, parse_system, variant_name

MANY_SHARDS = 1000
"""Shards of all pools from which on a study is slow to plan: a shard costs about 6 ms, and 0.1 MB (docs/scale.md)."""
FEW_SHARDS = 300
SHARD_SIZES = (1000, 2000, 5000, 10_000, 20_000, 50_000)
"""Values of ``shard_rows`` that are suggested."""


def planned_runs(study: Study) -> list[Run]:
    """Return every student run of a study once, in a stable order."""
    return list(dict.fromkeys(run for dataset in study.datasets for run in _runs(study, dataset)))


def baseline_seeds(study: Study) -> dict[str, list[int]]:
    """Return the baselines of a study, each with its seeds; one in which nothing is random runs once."""
    seeds = study.seed_list
    return {name: seeds[:1] if name in UNSEEDED else seeds for name in study.systems if name in BASELINES}


def timed_runs(study: Study, dataset: str) -> dict[str, Run]:
    """Return the run whose costs are measured, by student: of its first system, with the first seed."""
    first: dict[str, Run] = {}
    for _, student, regime in study.parsed_systems:
        if student is not None and regime is not None and student not in first:
            first[student] = next(_of_student(study, dataset, student, regime))
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
        for sampling in list(study.samplings)[1:]:
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


def export_candidates(study: Study, dataset: str) -> list[Run]:
    """Return the runs of which the best on held-out rows is exported: main variant, all synthetic rows, first seed.

    Without a list in the config: the gendist systems of the study, else all its students, else the curve student.
    """
    students = [system for system in study.parsed_systems if system.regime is not None]
    if study.export.systems is not None:
        students = [parse_system(name, study.students) for name in study.export.systems]
    elif any(system.regime == "gendist" for system in students):
        students = [system for system in students if system.regime == "gendist"]
    pairs = [(s.student, s.regime) for s in students if s.student and s.regime] or [(study.curve_student, "gendist")]
    return [next(_of_student(study, dataset, student, regime)) for student, regime in pairs]


def exportable(study: Study) -> bool:
    """Tell whether all students that an export chooses among can be exported: BPEmb's tokenizer cannot."""
    students = {run.student for dataset in study.datasets for run in export_candidates(study, dataset)}
    return not any(study.students[name].embeddings.startswith("bpemb:") for name in students)


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
    curve = study.curve_student
    for _, student, regime in study.parsed_systems:
        if student is not None and regime is not None:
            yield from _of_student(study, dataset, student, regime)
    for count in study.curve_counts(dataset):  # Figure 2, with dist as its reference line
        yield from _of_student(study, dataset, curve, "synthetic", count)
    yield from _of_student(study, dataset, curve, "dist")
    yield from _of_student(study, dataset, curve, "hard")  # Table 2, against gendist
    yield from _of_student(study, dataset, curve, "gendist")
    if len(study.samplings) > 1:
        for sampling in study.samplings:
            count = sampling_count(study, dataset)
            yield from _of_student(study, dataset, curve, "synthetic", count, sampling=sampling)
    for kind, others in named_variants(study).items():
        for name in others:
            yield from _of_student(study, dataset, curve, "gendist", None, **{kind: name})


def _of_student(
    study: Study, dataset: str, student: str, regime: str, count: int | None = None, **changed: str
) -> Iterator[Run]:
    """Yield a run for each seed: of the main variant but for what is ``changed``, with ``count`` or all rows."""
    names = {"teacher": study.teacher, "generator": study.generator, "sampling": study.sampling}
    variant = variant_name(regime, **(names | {"training": study.training} | changed))
    rows = study.datasets[dataset].synthetic if count is None else count
    for seed in study.seed_list:
        yield Run(dataset, student, regime, variant, rows if regime in WITH_SYNTHETIC else 0, seed)

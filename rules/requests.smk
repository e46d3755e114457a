"""Helpers of the rules that read finished pools and runs: lists of their inputs."""

from gendist.config.study_plan import (
    baseline_seeds,
    export_candidates,
    exported_datasets,
    planned_pools,
    planned_runs,
    rows_counts,
    sampling_count,
    timed_runs,
)
from gendist.naming import TEACHER, variant_name

# --- quality ---


def pool_rows(wildcards):
    """Rows of a pool that the study uses."""
    return planned_pools(STUDY)[wildcards.dataset, wildcards.generator, wildcards.sampling]


def pool_shards(wildcards):
    """Shards with the rows of a pool that are compared."""
    return shard_paths(rules.generate_shard.output[0], wildcards, wildcards.get("n_synthetic") or pool_rows(wildcards))


def pool_repeats(wildcards):
    """Duplicates among the rows of a pool."""
    return rules.find_repeats.output[0].format(**wildcards, n_synthetic=pool_rows(wildcards))


def pool_teachers(wildcards):
    """Teachers that score a pool, the main one first; the others score the main pool only."""
    is_main = (wildcards.generator, wildcards.sampling) == (STUDY.generator, STUDY.sampling)
    return list(STUDY.teachers) if is_main else [STUDY.teacher]


def pool_logits(wildcards):
    """Logits of a pool, by teacher."""
    patterns = expand(rules.score_shard.output[0], teacher=pool_teachers(wildcards), allow_missing=True)
    return [path for pattern in patterns for path in shard_paths(pattern, wildcards, pool_rows(wildcards))]


def every_pool(pattern):
    """Fill a path for every pool of the study, dataset by dataset, the main one first."""
    return [pattern.format(dataset=d, generator=g, sampling=s) for d, g, s in planned_pools(STUDY)]


def main_predictions(wildcards):
    """Predictions of the curve student under gendist, of the main pool: all seeds, dataset by dataset."""
    variant = variant_name("gendist", **main_names())
    names = {"student": STUDY.curve_student, "regime": "gendist", "variant": variant}
    return [
        rules.distil_student.output.predictions.format(dataset=dataset, n_synthetic=count, seed=seed, **names)
        for dataset, count in full_counts().items()
        for seed in STUDY.seed_list
    ]


# --- evaluation ---


def run_metrics(wildcards):
    """Metrics of every planned run."""
    paths = [rules.distil_student.output.metrics.format(**run._asdict()) for run in planned_runs(STUDY)]
    for dataset in STUDY.datasets:
        paths += expand(rules.evaluate_teacher.output.metrics, dataset=dataset, teacher=STUDY.teachers)
        for name, seeds in baseline_seeds(STUDY).items():
            paths += expand(fit_rule(name).output.metrics, dataset=dataset, seed=seeds)
    return paths


def fit_rule(name):
    """The rule that fits a baseline."""
    return getattr(rules, f"fit_{name.replace('-', '_')}")


def teacher_seed(wildcards):
    """Seed of the teacher's finetuning."""
    return STUDY.teachers[wildcards.teacher].seed


# --- costs ---


def timed_student(wildcards):
    """Weights and description of the student that is timed."""
    run = timed_runs(STUDY, wildcards.dataset)[wildcards.student]
    made = rules.distil_student.output
    return [path.format(**run._asdict()) for path in (made.model, made.student)]


def timed_baseline(wildcards):
    """Files of the baseline that is timed: the run of the first seed."""
    made = fit_rule(wildcards.baseline).output
    return expand(made.model, dataset=wildcards.dataset, seed=STUDY.seed_list[0])


def timed_static(wildcards):
    """The static embeddings, if the baseline uses them."""
    return rules.distil_static.output if wildcards.baseline == "model2vec" else []


def cost_files(wildcards):
    """Measurements of every network and baseline in Table 1."""
    paths = []
    kept = [name for name in baseline_seeds(STUDY) if hasattr(fit_rule(name).output, "model")]  # saved models only
    for dataset in STUDY.datasets:
        paths += expand(rules.measure_student.output, dataset=dataset, student=timed_runs(STUDY, dataset))
        paths += expand(rules.measure_baseline.output, dataset=dataset, baseline=kept)
        if TEACHER in STUDY.systems:
            paths += expand(rules.measure_teacher.output, dataset=dataset, teacher=STUDY.teacher)
    return paths + every_export(rules.measure_export.output[0])


# --- export ---


def candidate_runs(wildcards):
    """Candidates for the export: student runs, as plain values."""
    return [run._asdict() for run in export_candidates(STUDY, wildcards.dataset)]


def candidates_held_out(wildcards):
    """Held-out scores of the candidates."""
    return [rules.cross_fit.output[0].format(**run) for run in candidate_runs(wildcards)]


def candidates_models(wildcards):
    """Weights of the candidates."""
    return [rules.distil_student.output.model.format(**run) for run in candidate_runs(wildcards)]


def candidates_embeddings(wildcards):
    """Folders of the candidates' embeddings."""
    return [embeddings_folder(STUDY.students[run["student"]].embeddings) for run in candidate_runs(wildcards)]


def candidates_embeddings_files(wildcards):
    """Tokenizers and vectors of the candidates' embeddings."""
    names = dict.fromkeys(STUDY.students[run["student"]].embeddings for run in candidate_runs(wildcards))
    return [file for name in names for file in embeddings_files(name)]


def dataset_text(wildcards):
    """Text columns of the dataset, and the separator between them."""
    dataset = STUDY.datasets[wildcards.dataset]
    return {"columns": dataset.text, "separator": dataset.separator}


# --- report ---


def main_names():
    """The teacher, generator, sampling and training that the tables show."""
    return {kind: getattr(STUDY, kind) for kind in ("generator", "sampling", "teacher", "training")}


def full_counts():
    """Synthetic rows of the generation-distillation systems, by dataset."""
    return {name: dataset.synthetic for name, dataset in STUDY.datasets.items()}


def all_curve_counts():
    """Synthetic counts of Figure 2, by dataset."""
    return {dataset: STUDY.curve_counts(dataset) for dataset in STUDY.datasets}


def all_rows_counts():
    """Counts of each curve of the figure of rows, by dataset."""
    return {dataset: rows_counts(STUDY, dataset) for dataset in STUDY.with_unlabelled}


def all_sampling_counts():
    """Synthetic rows of the sampling comparison, by dataset."""
    return {dataset: sampling_count(STUDY, dataset) for dataset in STUDY.datasets}


def every_dataset(pattern):
    """Fill a path for every dataset."""
    return expand(pattern, dataset=STUDY.datasets)


def every_export(pattern):
    """Fill a path for every dataset with an exported student."""
    return expand(pattern, dataset=exported_datasets(STUDY)) if exported_datasets(STUDY) else []


def main_shards(pattern):
    """Shards of the main pool of every dataset."""
    names = main_names()
    return [
        path
        for dataset, count in full_counts().items()
        for path in shard_paths(pattern, {**names, "dataset": dataset}, count)
    ]


def figure_files():
    """Figures of the study; the sampling comparison needs two samplings, the figure of rows unlabelled rows."""
    files = [*rules.draw_figure2.output, *rules.draw_quality.output, *rules.draw_tradeoff.output]
    files += rules.draw_sampling.output if STUDY.compared_samplings else []
    return files + [*rules.draw_rows.output] if STUDY.with_unlabelled else files


def report_files(wildcards):
    """Every table and figure."""
    tables = [rules.write_table1, rules.write_table2, rules.write_table3, rules.write_table4]
    tables += [rules.write_gains, rules.write_memorisation, rules.write_quality, rules.write_costs]
    return [path for table in tables for path in table.output] + figure_files()

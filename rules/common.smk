"""The validated study, and helpers that several stages' rules use."""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)  # the package of this checkout, installed or not

from gendist import dependencies
from gendist.config import Study, study_from
from gendist.config.files import require_files
from gendist.config.plan import (
    baseline_seeds,
    export_candidates,
    named_variants,
    planned_pools,
    planned_runs,
    sampling_count,
    timed_runs,
)
from gendist.errors import GendistError
from gendist.eta import StudyClock
from gendist.systems import BASELINES, TEACHER, WITH_SYNTHETIC, WITH_TEACHER, parse_variant, variant_name
from gendist.workflow.events import EventFile

# A study named on the command line stands alone: Snakemake would merge it into config.yaml.
if not workflow.overwrite_configfiles:

    configfile: Path(workflow.basedir) / "config.yaml"


try:
    STUDY = study_from(config, ", ".join(map(str, workflow.configfiles)))
    require_files(STUDY)
except GendistError as error:
    sys.exit(f"error: {error}")

StudyClock.attach()
EventFile.attach(workflow)

RESULTS = STUDY.results
LOGS = f"{RESULTS}/logs"
SCRIPTS = Path(workflow.basedir) / "workflow_scripts"


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    generator="[A-Za-z0-9][A-Za-z0-9_-]*",
    sampling="[A-Za-z0-9][A-Za-z0-9_-]*",
    teacher="[A-Za-z0-9][A-Za-z0-9_-]*",
    student="[A-Za-z0-9][A-Za-z0-9_-]*",
    baseline="|".join(BASELINES),
    regime="scratch|dist|gendist|synthetic|hard",
    variant="[A-Za-z0-9_.-]+",
    shard="[0-9]{5}",
    split="train|test",
    n_synthetic="[0-9]+",
    seed="[0-9]+",


def code(script):
    """A script and all that it imports, as inputs: an edit reruns its rules, a touch or a fresh checkout does not."""
    return [relative(file) for file in dependencies.source_files(SCRIPTS / f"{script}.py")]


def relative(path):
    """A path as seen from the working directory, so that a moved checkout stays the same."""
    return os.path.relpath(path)


def settings(entry, **changed):
    """A config slice as params: plain values with sorted keys, because their order counts as a change."""
    values = entry.model_dump(mode="json") | changed
    return {key: values[key] for key in sorted(values)}


def model_files(model):
    """Files of a model in a local folder (inputs); none for embedded models and hub ids."""
    folder = Path(model)
    return sorted(str(p) for p in folder.iterdir() if p.suffix in (".json", ".safetensors")) if folder.is_dir() else []


def shard_paths(pattern, wildcards, count):
    """Paths of the shards that hold the first ``count`` rows of a pool."""
    shards = range(-(-int(count) // STUDY.shard_rows))
    return [pattern.format(**wildcards, shard=f"{shard:05d}") for shard in shards]


# --- texts ---


def source_files(wildcards):
    """The user's files of a dataset; a hub dataset has none."""
    dataset = STUDY.datasets[wildcards.dataset]
    return [path for path in (dataset.train, dataset.test) if path is not None]


def dataset_settings(wildcards):
    """The dataset's config; the number of synthetic rows has no influence on the texts."""
    values = settings(STUDY.datasets[wildcards.dataset])
    del values["synthetic"]
    return values


# --- pocket ---


def embeddings_folder(name):
    """Folder of a student's subword tokenizer and vectors."""
    if name == "pocket":
        return relative(dependencies.PACKAGE / "pocket" / "models" / "subwords")
    if name.startswith("bpemb:"):
        return f"{RESULTS}/embeddings/{'-'.join(re.split('[:/]', name))}"
    return name


def embeddings_files(name):
    """Files of that folder, as inputs."""
    tokenizer = "sentencepiece.model" if name.startswith("bpemb:") else "tokenizer.json"
    return [f"{embeddings_folder(name)}/{file}" for file in (tokenizer, "vectors.safetensors")]


# --- generator ---


def generator_model(wildcards):
    """Folder or hub id of the model to finetune."""
    model = STUDY.generators[wildcards.generator].model
    return f"{RESULTS}/pocket/generator" if model == "pocket" else model


def generator_model_files(wildcards):
    """What the finetuning reads of its model."""
    if STUDY.generators[wildcards.generator].model == "pocket":
        return rules.unpack_pocket.output
    return model_files(generator_model(wildcards))


def generator_settings(wildcards):
    """The generator's config, its model as a folder or hub id."""
    return settings(STUDY.generators[wildcards.generator], model=generator_model(wildcards))


# --- synthetic ---


def sampling_settings(wildcards):
    """The sampling's config; the batch size does not belong to it, because it changes no row."""
    values = settings(STUDY.samplings[wildcards.sampling])
    del values["batch_size"]
    return values


def sampling_texts(wildcards):
    """The real rows whose first words texts start from, where they start from any."""
    words = STUDY.samplings[wildcards.sampling].prompt_words
    return rules.prepare_texts.output.train.format(dataset=wildcards.dataset) if words else []


def sampling_batch_size(wildcards):
    """Rows generated side by side; outside params, so that changing it reruns nothing."""
    return STUDY.samplings[wildcards.sampling].batch_size


# --- teacher ---


def teacher_model_files(wildcards):
    """What the finetuning reads of a model in a local folder."""
    return model_files(STUDY.teachers[wildcards.teacher].model)


def teacher_settings(wildcards):
    """The teacher's config."""
    return settings(STUDY.teachers[wildcards.teacher])


# --- logits ---


def teacher_max_tokens(wildcards):
    """Where the teacher cuts texts."""
    return STUDY.teachers[wildcards.teacher].max_tokens


# --- quality ---


def pool_rows(wildcards):
    """Rows of a pool that the study uses."""
    return planned_pools(STUDY)[wildcards.dataset, wildcards.generator, wildcards.sampling]


def pool_shards(wildcards):
    """Shards of a pool, as far as its rows are compared."""
    return shard_paths(rules.generate_shard.output[0], wildcards, wildcards.get("n_synthetic") or pool_rows(wildcards))


def pool_repeats(wildcards):
    """What the rows of a pool repeat."""
    return rules.find_repeats.output[0].format(**wildcards, n_synthetic=pool_rows(wildcards))


def pool_teachers(wildcards):
    """Teachers that score a pool, the main one first: the others score the main pool alone."""
    is_main = (wildcards.generator, wildcards.sampling) == (STUDY.generator, STUDY.sampling)
    return list(STUDY.teachers) if is_main else [STUDY.teacher]


def pool_logits(wildcards):
    """Their logits of it, one teacher after the other."""
    patterns = expand(rules.score_shard.output[0], teacher=pool_teachers(wildcards), allow_missing=True)
    return [path for pattern in patterns for path in shard_paths(pattern, wildcards, pool_rows(wildcards))]


def every_pool(pattern):
    """Fill a path for every pool of the study, dataset by dataset, the main one first."""
    return [pattern.format(dataset=d, generator=g, sampling=s) for d, g, s in planned_pools(STUDY)]


def main_predictions(wildcards):
    """Predictions of the curve student under gendist with the main names: all seeds, dataset by dataset."""
    variant = variant_name("gendist", **main_names())
    names = {"student": STUDY.curve_student, "regime": "gendist", "variant": variant}
    return [
        rules.distil_student.output.predictions.format(dataset=dataset, n_synthetic=count, seed=seed, **names)
        for dataset, count in full_counts().items()
        for seed in STUDY.seed_list
    ]


# --- students ---


def variant_paths(pattern, wildcards):
    """Fill a path with the dataset and the names that the run's variant stands for."""
    return pattern.format(dataset=wildcards.dataset, **parse_variant(wildcards.variant)._asdict())


def student_embeddings_files(wildcards):
    """Tokenizer and vectors of the student's embeddings."""
    return embeddings_files(STUDY.students[wildcards.student].embeddings)


def student_train_logits(wildcards):
    """The teacher's logits of the real rows, where the regime has a teacher."""
    if wildcards.regime not in WITH_TEACHER:
        return []
    return variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/train.parquet", wildcards)


def student_shards(wildcards):
    """Shards of the synthetic rows, where the regime has any."""
    return run_shards(rules.generate_shard.output[0], wildcards)


def student_shard_logits(wildcards):
    """The teacher's logits of those shards."""
    return run_shards(rules.score_shard.output[0], wildcards)


def run_shards(pattern, wildcards):
    """Fill a shard path for every shard that a run reads."""
    if wildcards.regime not in WITH_SYNTHETIC:
        return []
    names = {"dataset": wildcards.dataset, **parse_variant(wildcards.variant)._asdict()}
    return shard_paths(pattern, names, wildcards.n_synthetic)


def student_settings(wildcards):
    """The student's config."""
    return settings(STUDY.students[wildcards.student])


def training_settings(wildcards):
    """The config of the run's way of training."""
    values = settings(STUDY.trainings[parse_variant(wildcards.variant).training])
    if wildcards.regime not in WITH_SYNTHETIC:
        del values["keep"]  # nothing to choose from
    return values


def student_repeats(wildcards):
    """What the synthetic rows repeat, where the run's way of training drops such rows."""
    names = parse_variant(wildcards.variant)
    if wildcards.regime not in WITH_SYNTHETIC or not STUDY.trainings[names.training].keep.reads_repeats:
        return []
    return rules.find_repeats.output[0].format(**{**wildcards, **names._asdict()})


def student_embeddings(wildcards):
    """Folder of the student's embeddings."""
    return embeddings_folder(STUDY.students[wildcards.student].embeddings)


# --- evaluation ---


def run_metrics(wildcards):
    """The metrics of every run that the study asks for."""
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
    """Weights and description of the student's run that is timed."""
    run = timed_runs(STUDY, wildcards.dataset)[wildcards.student]
    made = rules.distil_student.output
    return [path.format(**run._asdict()) for path in (made.model, made.student)]


def timed_baseline(wildcards):
    """Files of the baseline's run that is timed, with the first seed."""
    made = fit_rule(wildcards.baseline).output
    return expand(made.model, dataset=wildcards.dataset, seed=STUDY.seed_list[0])


def timed_static(wildcards):
    """The static embeddings, where the baseline has them."""
    return rules.distil_static.output if wildcards.baseline == "model2vec" else []


def cost_files(wildcards):
    """Measurements of every network and baseline in Table 1."""
    paths = []
    for dataset in STUDY.datasets:
        paths += expand(rules.measure_student.output, dataset=dataset, student=timed_runs(STUDY, dataset))
        paths += expand(rules.measure_baseline.output, dataset=dataset, baseline=baseline_seeds(STUDY))
        if TEACHER in STUDY.systems:
            paths += expand(rules.measure_teacher.output, dataset=dataset, teacher=STUDY.teacher)
    return paths


# --- export ---


def candidate_runs(wildcards):
    """The student runs of which one is exported, as plain values."""
    return [run._asdict() for run in export_candidates(STUDY, wildcards.dataset)]


def candidates_held_out(wildcards):
    """Their scores of held-out rows."""
    return [rules.cross_fit.output[0].format(**run) for run in candidate_runs(wildcards)]


def candidates_models(wildcards):
    """Their weights."""
    return [rules.distil_student.output.model.format(**run) for run in candidate_runs(wildcards)]


def candidates_embeddings(wildcards):
    """Folders of their embeddings."""
    return [embeddings_folder(STUDY.students[run["student"]].embeddings) for run in candidate_runs(wildcards)]


def candidates_embeddings_files(wildcards):
    """Tokenizers and vectors in them."""
    names = dict.fromkeys(STUDY.students[run["student"]].embeddings for run in candidate_runs(wildcards))
    return [file for name in names for file in embeddings_files(name)]


def dataset_text(wildcards):
    """Columns that the dataset's texts are made of, and what stands between them."""
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


def all_sampling_counts():
    """Synthetic rows of the sampling comparison, by dataset."""
    return {dataset: sampling_count(STUDY, dataset) for dataset in STUDY.datasets}


def every_dataset(pattern):
    """Fill a path for every dataset."""
    return expand(pattern, dataset=STUDY.datasets)


def main_shards(pattern):
    """Shards of the main pool of every dataset."""
    names = main_names()
    return [
        path
        for dataset, count in full_counts().items()
        for path in shard_paths(pattern, {**names, "dataset": dataset}, count)
    ]


def figure_files():
    """What the study draws: the sampling comparison needs something to compare."""
    files = [*rules.draw_figure2.output, *rules.draw_quality.output, *rules.draw_tradeoff.output]
    return files + [*rules.draw_sampling.output] if len(STUDY.samplings) > 1 else files


def report_files(wildcards):
    """Every table and figure."""
    tables = [rules.write_table1, rules.write_table2, rules.write_table3, rules.write_table4]
    tables += [rules.write_gains, rules.write_memorisation, rules.write_quality, rules.write_costs]
    return [path for table in tables for path in table.output] + figure_files()

"""The validated study, and helpers of the rules up to the students; then: training.smk, and requests.smk."""

import os
import re
import sys
from pathlib import Path

# The folder of the Snakefile, also where another workflow has this one as a module.
CHECKOUT = Path(str(workflow.current_basedir)).parent
sys.path.insert(0, str(CHECKOUT))  # the package of this checkout, installed or not

from gendist.config import Study, study_from
from gendist.launcher.data_checks import require_data
from gendist.config.file_checks import require_files, rows_file
from gendist.config.study_plan import too_many_shards
from gendist.config.yaml_file import read_config
from gendist.errors import GendistError
from gendist.jobs.source_files import PACKAGE, code_version
from gendist.jobs.visible_gpus import visible_gpus
from gendist.naming import BASELINES, REGIMES, WITH_SYNTHETIC, WITH_TEACHER, WITH_UNLABELLED, parse_variant
from gendist.launcher.typical_times import job_seconds
from gendist.launcher.events import EventFile
from gendist.launcher.work_cleanup_handler import WorkCleanupHandler
from gendist.launcher.progress_lines import ProgressLines

# A study named on the command line stands alone: Snakemake would merge it into config.yaml.
if not workflow.overwrite_configfiles:

    configfile: CHECKOUT / "config.yaml"


try:
    for file in workflow.configfiles:
        read_config(file)  # Snakemake takes the last of two equal keys without a word
    STUDY = study_from(config, ", ".join(map(str, workflow.configfiles)))
    require_files(STUDY)
    if workflow.is_main_process:  # a job reads what it needs by itself
        TRAIN_ROWS = require_data(STUDY)
    GPUS = len(visible_gpus()) if workflow.is_main_process and STUDY.device != "cpu" else 0
except GendistError as error:
    sys.exit(f"error: {error}")

if (advice := too_many_shards(STUDY)) and workflow.is_main_process:
    print(f"note: {advice}", file=sys.stderr)

# Snakemake gives out no more GPUs than it is told of. Told here, so that a run without any profile knows it too; not
# for a cluster (which counts in nodes), not over the user's own word, and 0 would be the end of every such job.
if GPUS and workflow.resource_settings.nodes is None and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)


def in_place(path):
    """The same path: what Snakemake is given in place of a copy in storage."""
    return path


# Kubernetes' executor requires a storage provider. Copies would lack what a job leaves beside its declared outputs:
# checkpoints, further files of a model. All files stay in place instead, on a volume that every job mounts; the
# provider carries the workflow's sources. Without a provider, nothing of Snakemake is replaced.
if workflow.storage_settings.default_storage_provider == "fs":
    workflow.modifier.path_modifier.apply_default_storage = in_place
elif workflow.storage_settings.default_storage_provider is not None:
    sys.exit("error: default-storage-provider: only fs is supported, with a folder that every job sees as its prefix")


def typical_seconds(rule, names):
    """What a job typically takes, for the time left."""
    return job_seconds(STUDY, rule, names, TRAIN_ROWS)


ProgressLines.attach(workflow, typical_seconds, GPUS)
EventFile.attach(workflow, typical_seconds, GPUS)


onsuccess:
    LEFTOVERS.clear()


RESULTS = STUDY.results
LOGS = f"{RESULTS}/logs"
WORK = f"{RESULTS}/.work"  # what interrupted jobs keep; no outputs, which Snakemake deletes before a rerun
LEFTOVERS = WorkCleanupHandler.attach(Path(WORK), workflow)
SCRIPTS = CHECKOUT / "workflow_scripts"


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    generator="[A-Za-z0-9][A-Za-z0-9_-]*",
    sampling="[A-Za-z0-9][A-Za-z0-9_-]*",
    teacher="[A-Za-z0-9][A-Za-z0-9_-]*",
    student="[A-Za-z0-9][A-Za-z0-9_-]*",
    baseline="|".join(BASELINES),
    regime="|".join(REGIMES),
    variant=r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*",
    shard="[0-9]{5}",
    tens="[0-9]{4}",
    split="train|test|unlabelled",
    n_synthetic="[0-9]+",
    seed="[0-9]+",


def code(script):
    """The version of a script and all that it imports, as a parameter: an edit reruns its rules."""
    return code_version(SCRIPTS / f"{script}.py")


def relative(path):
    """A path as seen from the working directory, so that a moved checkout stays the same."""
    return os.path.relpath(path)


def package_files(folder, *names):
    """Data files of the package, as inputs."""
    return [relative(PACKAGE / folder / name) for name in names]


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


# --- devices ---


def gpus_wanted(wildcards):
    """GPUs of a job that can use one."""
    return None if STUDY.device == "cpu" else 1


# --- texts ---


def data_files(wildcards):
    """The user's files of a dataset; a hub dataset has none."""
    dataset = STUDY.datasets[wildcards.dataset]
    return [path for path in (dataset.train, dataset.test) if path is not None]


def dataset_settings(wildcards):
    """The dataset's config; the number of synthetic rows has no influence on the texts, nor have unlabelled rows."""
    values = settings(STUDY.datasets[wildcards.dataset])
    return {key: value for key, value in values.items() if key not in ("synthetic", "unlabelled", "unlabelled_rows")}


def unlabelled_file(wildcards):
    """The user's file of unlabelled rows of a dataset."""
    return STUDY.datasets[wildcards.dataset].unlabelled or []


def unlabelled_settings(wildcards):
    """The dataset's config, as far as its unlabelled rows go; their number may be that of the synthetic ones."""
    dataset = STUDY.datasets[wildcards.dataset]
    return settings(dataset, synthetic=dataset.n_unlabelled, unlabelled_rows=dataset.n_unlabelled)


# --- pocket ---


def embeddings_folder(name):
    """Folder of a student's subword tokenizer and vectors."""
    if name == "pocket":
        return relative(PACKAGE / "nn" / "pocket" / "models" / "subwords")
    if name.startswith("bpemb:"):
        return f"{RESULTS}/embeddings/{'-'.join(re.split('[:/]', name))}"
    return name


def embeddings_files(name):
    """Files of that folder, as inputs."""
    tokenizer = "sentencepiece.model" if name.startswith("bpemb:") else "tokenizer.json"
    return [f"{embeddings_folder(name)}/{file}" for file in (tokenizer, "vectors.safetensors")]


def general_start_files(student):
    """Packaged weights that a student starts from."""
    models = relative(PACKAGE / "nn" / "pocket" / "models")
    return [f"{models}/students/{student.architecture}.safetensors"] if student.init == "general" else []


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


def prompted_settings(wildcards):
    """What decides on the rows of a prompted generator; its concurrency, retries and prices do not."""
    values = STUDY.generators[wildcards.generator].requested
    return {key: values[key] for key in sorted(values)}


def generator_files(wildcards):
    """What a finetuned generator is sampled from: its weights, or its adapters."""
    finetune = rules.finetune_lora if wildcards.generator in LORA else rules.finetune_generator
    return expand(finetune.output, **wildcards)


def instruct_model_files(wildcards):
    """Files of a chat model that is used as it is."""
    return model_files(STUDY.generators[wildcards.generator].model)


GIVEN_ROWS = f"{RESULTS}/{{dataset}}/generators/{{generator}}/rows.parquet"
GIVEN, INSTRUCT, ENDPOINT, LORA = (
    [name for name, generator in STUDY.generators.items() if generator.kind == kind]
    for kind in ("rows", "instruct", "endpoint", "lora")
)
"""Generators whose rows are a file of the user's, or come from a chat model here or behind a server; with adapters."""
PROMPTED = INSTRUCT + ENDPOINT


NOT_FINETUNED = f"(?!(?:{'|'.join(GIVEN + PROMPTED)})/)" if GIVEN + PROMPTED else ""
"""Before the pattern of a generator's name in a path: none that is not finetuned."""

# Requests at a time are bounded within a job, so one job at a time sends them; not over the user's own word.
if ENDPOINT and "endpoint" not in workflow.global_resources:
    workflow.register_resource("endpoint", 1)


def given_file(wildcards):
    """The user's file of a generator's rows."""
    return rows_file(STUDY.generators[wildcards.generator].rows, wildcards.dataset)


def pool_source(wildcards):
    """What says which class each row of a pool was asked for."""
    if wildcards.generator in GIVEN:
        return GIVEN_ROWS.format(**wildcards)
    return rules.finetune_generator.output[0].format(**wildcards)


# --- synthetic ---


def ten_shards(pattern):
    """Fill a path for all shards whose numbers differ in the last digit alone; `tens` stands for the others."""
    return [pattern.replace("{shard}", f"{{tens}}{digit}") for digit in range(10)]


def sampling_settings(wildcards):
    """The sampling's config; the batch size does not belong to it, because it changes no row."""
    values = settings(STUDY.samplings[wildcards.sampling])
    del values["batch_size"]
    return values


def sampling_texts(wildcards):
    """The real rows whose first words texts start from, where they start from any."""
    words = STUDY.samplings[wildcards.sampling].prompt_words
    return rules.prepare_texts.output.train.format(dataset=wildcards.dataset) if words else []


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

"""Validates the study; helpers of all rules. More helpers: models.smk, training.smk, requests.smk."""

import os
import re
import sys
from pathlib import Path

# The folder of the Snakefile, also if another workflow uses this one as a module.
CHECKOUT = Path(str(workflow.current_basedir)).parent
sys.path.insert(0, str(CHECKOUT))  # the package of this checkout, installed or not

from gendist.config import Study, study_from
from gendist.launcher.data_checks import require_data
from gendist.config.file_checks import require_files, rows_file
from gendist.config.study_plan import SINGLE_SHARDS, too_many_shards
from gendist.config.yaml_file import read_config
from gendist.errors import GendistError
from gendist.jobs.source_files import PACKAGE, code_version
from gendist.jobs.visible_gpus import visible_gpus
from gendist.naming import (
    BASELINES,
    REGIMES,
    WITH_GENERAL,
    WITH_SYNTHETIC,
    WITH_TEACHER,
    WITH_UNLABELLED,
    parse_variant,
)
from gendist.nn.pocket.packaged_files import EMBEDDINGS, GENERAL_TEXTS
from gendist.launcher.typical_times import job_seconds
from gendist.launcher.events import EventFileHandler
from gendist.launcher.work_cleanup_handler import WorkCleanupHandler
from gendist.launcher.progress_lines import ProgressLineHandler

# A study named on the command line replaces config.yaml: Snakemake would merge both.
if not workflow.overwrite_configfiles:

    configfile: CHECKOUT / "config.yaml"


try:
    for file in workflow.configfiles:
        read_config(file)  # rejects duplicate keys, of which Snakemake takes the last
    STUDY = study_from(config, ", ".join(map(str, workflow.configfiles)))
    require_files(STUDY)
    if workflow.is_main_process:  # jobs check the files that they read
        TRAIN_ROWS = require_data(STUDY)
    GPUS = len(visible_gpus()) if workflow.is_main_process and STUDY.device != "cpu" else 0
except GendistError as error:
    sys.exit(f"error: {error}")

if (advice := too_many_shards(STUDY)) and workflow.is_main_process:
    print(f"note: {advice}", file=sys.stderr)

# Files in storage are copied for each job, which leaves out undeclared ones, such as checkpoints.
if workflow.storage_settings.default_storage_provider is not None:
    sys.exit("error: default-storage-provider: not supported; keep the working directory where all jobs see it")


def typical_seconds(rule, names):
    """Typical seconds of a job, for the estimate of the time left."""
    return job_seconds(STUDY, rule, names, TRAIN_ROWS)


ProgressLineHandler.attach(workflow, typical_seconds, GPUS)
EventFileHandler.attach(workflow, typical_seconds, GPUS)


onsuccess:
    LEFTOVERS.clear()


RESULTS = STUDY.results
LOGS = f"{RESULTS}/logs"
WORK = f"{RESULTS}/.work"  # checkpoints: as outputs, Snakemake would delete them before a rerun
LEFTOVERS = WorkCleanupHandler.attach(Path(WORK), workflow)
SCRIPTS = CHECKOUT / "workflow_scripts"


def tens_from(first):
    """Regular expression of four-digit numbers from a multiple of 10 below 100."""
    return f"(?!00[0-{first // 10 - 1}])[0-9]{{4}}"


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
    tens="[0-9]{4}" if STUDY.shards_together else tens_from(SINGLE_SHARDS // 10),
    n_shards="[0-9]+",
    split="train|test|unlabelled|general",
    n_synthetic="[0-9]+",
    seed="[0-9]+",


def code(script):
    """Hash of a script and the modules that it imports, as a parameter: an edit reruns its rules."""
    return code_version(SCRIPTS / f"{script}.py")


def relative(path):
    """Path relative to the working directory, so that moving the checkout reruns nothing."""
    return os.path.relpath(path)


def package_files(folder, *names):
    """Data files of the package, as inputs."""
    return [relative(PACKAGE / folder / name) for name in names]


def settings(entry, **changed):
    """Part of the config as params: plain values with sorted keys, because Snakemake compares their order."""
    values = entry.model_dump(mode="json") | changed
    return {key: values[key] for key in sorted(values)}


def model_files(model):
    """Files of a model in a local folder (inputs); none for embedded models and hub ids."""
    folder = Path(model)
    return sorted(str(p) for p in folder.iterdir() if p.suffix in (".json", ".safetensors")) if folder.is_dir() else []


def shard_paths(pattern, wildcards, count):
    """Paths of the shards that hold the first ``count`` rows of a pool, or of their index if they are many."""
    shards = -(-int(count) // STUDY.shard_rows)
    if shards > SINGLE_SHARDS:
        return [shard_index(pattern).format(**wildcards, n_shards=shards)]
    return [pattern.format(**wildcards, shard=f"{shard:05d}") for shard in range(shards)]


def shard_index(pattern):
    """Path pattern of the index beside the shards of a pattern."""
    return pattern.replace("shard-{shard}.parquet", "index-{n_shards}.json")


def indexed_shards(pattern):
    """Input function of an index: its shards; of ten that one job makes, the last, because each input takes time."""

    def shards(wildcards):
        count, single = int(wildcards.n_shards), 0 if STUDY.shards_together else SINGLE_SHARDS
        if wildcards.generator in GIVEN + PROMPTED:
            single = count
        numbers = [*range(min(single, count)), *range(single + 9, count + 9, 10)]
        return [pattern.format(**wildcards, shard=f"{number:05d}") for number in numbers]

    return shards


# --- devices ---


def gpus_wanted(wildcards):
    """GPUs of a job that can use one; none if this machine has none, so that a limit does not delay jobs."""
    here = workflow.is_main_process and workflow.resource_settings.nodes is None  # not on a cluster, nor in its jobs
    return None if STUDY.device == "cpu" or (here and not GPUS) else 1


# --- texts ---


def data_files(wildcards):
    """The user's files of a dataset; a hub dataset has none."""
    dataset = STUDY.datasets[wildcards.dataset]
    return [path for path in (dataset.train, dataset.test) if path is not None]


def dataset_settings(wildcards):
    """The dataset's config, without synthetic and unlabelled rows, which do not influence the texts."""
    values = settings(STUDY.datasets[wildcards.dataset])
    return {key: value for key, value in values.items() if key not in ("synthetic", "unlabelled", "unlabelled_rows")}


def unlabelled_file(wildcards):
    """The user's file of unlabelled rows of a dataset."""
    return STUDY.datasets[wildcards.dataset].unlabelled or []


def unlabelled_settings(wildcards):
    """The dataset's config for its unlabelled rows; by default, there are as many as synthetic rows."""
    dataset = STUDY.datasets[wildcards.dataset]
    return settings(dataset, synthetic=dataset.n_unlabelled, unlabelled_rows=dataset.n_unlabelled)


# --- synthetic ---


def ten_shards(pattern):
    """Paths of ten consecutive shards; the wildcard `tens` is the number without its last digit."""
    return [pattern.replace("{shard}", f"{{tens}}{digit}") for digit in range(10)]


def scored_shards(wildcards):
    """Ten shards that one job scores; of a large pool only the last, because each input takes time to plan."""
    shards = ten_shards(rules.generate_shard.output[0])
    return [path.format(**wildcards) for path in (shards[-1:] if int(wildcards.tens) * 10 >= SINGLE_SHARDS else shards)]


def sampling_settings(wildcards):
    """The sampling's config, without the batch size, which changes no row."""
    values = settings(STUDY.samplings[wildcards.sampling])
    del values["batch_size"]
    return values


def sampling_texts(wildcards):
    """Training texts, if rows are prompted with their first words."""
    words = STUDY.samplings[wildcards.sampling].prompt_words
    return rules.prepare_texts.output.train.format(dataset=wildcards.dataset) if words else []

"""The validated study, and helpers that several stages' rules use."""

import os
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)  # the package of this checkout, installed or not

from gendist import dependencies
from gendist.config import Study, study_from
from gendist.config.plan import planned_runs, sampling_count
from gendist.errors import GendistError
from gendist.systems import WITH_SYNTHETIC, WITH_TEACHER, parse_variant


# A study named on the command line stands alone: Snakemake would merge it into config.yaml.
if not workflow.overwrite_configfiles:

    configfile: Path(workflow.basedir) / "config.yaml"


try:
    STUDY = study_from(config, ", ".join(map(str, workflow.configfiles)))
except GendistError as error:
    sys.exit(f"error: {error}")

RESULTS = STUDY.results
LOGS = f"{RESULTS}/logs"


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    generator="[A-Za-z0-9][A-Za-z0-9_-]*",
    sampling="[A-Za-z0-9][A-Za-z0-9_-]*",
    teacher="[A-Za-z0-9][A-Za-z0-9_-]*",
    student="[A-Za-z0-9][A-Za-z0-9_-]*",
    regime="scratch|dist|gendist|synthetic|hard",
    variant="[A-Za-z0-9_.-]+",
    shard="[0-9]{5}",
    split="train|test",
    n_synthetic="[0-9]+",
    seed="[0-9]+",


def code(room):
    """Source files of a stage, as inputs: an edit reruns the stage, a touch or a fresh checkout does not."""
    return [relative(file) for file in dependencies.module_files(room)]


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


rule write_run_config:
    output:
        f"{RESULTS}/run_config.yaml",
    log:
        f"{LOGS}/run_config.log",
    params:
        study=STUDY.model_dump(mode="json"),
    script:
        "../workflow_scripts/write_run_config.py"

"""Input files of a student's job, from the job of Snakemake."""

from pathlib import Path
from typing import Any, TypedDict

from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles
from gendist.stages.synthetic.shard_index import resolve_shards


class RowFiles(TypedDict):
    """Keyword arguments of ``distil_seeds`` and ``cross_fit`` that name training rows."""

    train: Path
    train_logits: Path | None
    synthetic: SyntheticFiles
    unlabelled: UnlabelledFiles | None
    general: UnlabelledFiles | None


def row_files(job: Any) -> RowFiles:
    """Return the files of the training rows.

    Args:
        job: ``snakemake`` of a script whose rule has the inputs of ``distil_student`` (rules/students.smk).
    """
    inputs, names = job.input, job.wildcards
    unlabelled = general = None
    if inputs.unlabelled:
        # Under gendist-unlabelled, n_synthetic counts the synthetic rows.
        count = int(names.n_synthetic) if names.regime == "unlabelled" else None
        texts, logits = map(Path, inputs.unlabelled)
        unlabelled = UnlabelledFiles(texts, logits, count)
    if inputs.general:
        texts, logits = map(Path, inputs.general)
        general = UnlabelledFiles(texts, logits)
    return {
        "train": Path(inputs.train),
        "train_logits": Path(inputs.train_logits) if inputs.train_logits else None,
        "synthetic": SyntheticFiles(
            resolve_shards(inputs.shards),
            resolve_shards(inputs.shard_logits),
            int(names.n_synthetic),
            Path(inputs.repeats) if inputs.repeats else None,
        ),
        "unlabelled": unlabelled,
        "general": general,
    }

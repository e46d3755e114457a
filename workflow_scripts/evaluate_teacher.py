"""Evaluate a teacher from its logits of the test rows."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.stages.evaluation.teacher import evaluate_teacher

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} evaluation {snakemake.wildcards.teacher}"):
    evaluate_teacher(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.input.logits),
        Path(snakemake.input.history).parent,
        Path(snakemake.output[0]).parent,
        snakemake.wildcards.dataset,
        snakemake.wildcards.teacher,
        snakemake.params.seed,
    )

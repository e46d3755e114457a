"""Evaluate a teacher from its logits of the test rows."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.evaluation.evaluate_teacher import evaluate_teacher

with run_job(snakemake, f"{snakemake.wildcards.dataset} evaluation {snakemake.wildcards.teacher}"):
    evaluate_teacher(
        train=Path(snakemake.input.train),
        test=Path(snakemake.input.test),
        logits=Path(snakemake.input.logits),
        teacher=Path(snakemake.input.history).parent,
        folder=Path(snakemake.output[0]).parent,
        dataset=snakemake.wildcards.dataset,
        name=snakemake.wildcards.teacher,
        seed=snakemake.params.seed,
    )

"""Finetune one teacher on one dataset's labelled rows."""

from pathlib import Path

from gendist.config.teacher_settings import Teacher
from gendist.jobs.job_script import run_job
from gendist.stages.teacher.finetune_teacher import finetune_teacher

with run_job(snakemake, f"{snakemake.wildcards.dataset} teacher {snakemake.wildcards.teacher}"):
    finetune_teacher(
        Path(snakemake.input.train),
        Path(snakemake.output[0]).parent,
        Teacher(**snakemake.params.teacher),
        threads=snakemake.threads,
        work=Path(snakemake.params.work),
        device=snakemake.config.get("device", "auto"),
    )

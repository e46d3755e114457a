"""Finetune one teacher on one dataset's labelled rows."""

from pathlib import Path

from gendist.config.teacher_settings import Teacher
from gendist.jobs.job_script import logged
from gendist.stages.teacher.finetune_teacher import finetune_teacher

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} teacher {snakemake.wildcards.teacher}"):
    finetune_teacher(
        Path(snakemake.input.train),
        Path(snakemake.output[0]).parent,
        Teacher(**snakemake.params.teacher),
        threads=snakemake.threads,
        work=Path(snakemake.params.work),
        device=snakemake.resources.device,
    )

"""Finetune one generator on one dataset's training texts."""

from pathlib import Path

from gendist.config.generator_settings import Generator
from gendist.jobs.job_script import run_job
from gendist.stages.generator.finetune_generator import finetune_generator

with run_job(snakemake, f"{snakemake.wildcards.dataset} generator {snakemake.wildcards.generator}"):
    finetune_generator(
        Path(snakemake.input.train),
        Path(snakemake.output[0]).parent,
        Generator(**snakemake.params.generator),
        threads=snakemake.threads,
        work=Path(snakemake.params.work),
        device=snakemake.config.get("device", "auto"),
    )

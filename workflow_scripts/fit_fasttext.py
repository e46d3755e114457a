"""Fit and evaluate the fasttext baseline."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.baselines.fasttext import fit_fasttext

with run_job(snakemake, f"{snakemake.wildcards.dataset} fasttext"):
    fit_fasttext(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]).parent,
        snakemake.wildcards.dataset,
        seed=int(snakemake.wildcards.seed),
    )

"""Fit and evaluate the setfit baseline."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.baselines.setfit import fit_setfit

with run_job(snakemake, f"{snakemake.wildcards.dataset} setfit"):
    fit_setfit(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]).parent,
        snakemake.wildcards.dataset,
        seed=int(snakemake.wildcards.seed),
        threads=snakemake.threads,
        device=snakemake.config.get("device", "auto"),
    )

"""Fit and evaluate the encoder_lr baseline."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.baselines.encoder_lr import fit_encoder_lr

with run_job(snakemake, f"{snakemake.wildcards.dataset} encoder-lr"):
    fit_encoder_lr(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]).parent,
        snakemake.wildcards.dataset,
        threads=snakemake.threads,
    )

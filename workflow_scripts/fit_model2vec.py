"""Fit and evaluate the model2vec baseline."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.baselines.model2vec import fit_model2vec

with run_job(snakemake, f"{snakemake.wildcards.dataset} model2vec"):
    fit_model2vec(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        static=Path(snakemake.input.static[0]).parent,
        folder=Path(snakemake.output[0]).parent,
        dataset=snakemake.wildcards.dataset,
    )

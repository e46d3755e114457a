"""Fit and evaluate the tfidf_svm baseline."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.baselines.tfidf_svm import fit_tfidf_svm

with run_job(snakemake, f"{snakemake.wildcards.dataset} tfidf-svm"):
    fit_tfidf_svm(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]).parent,
        snakemake.wildcards.dataset,
    )

"""Fit and evaluate the fasttext baseline."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.stages.baselines.fasttext import fit_fasttext

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} fasttext"):
    fit_fasttext(
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]).parent,
        snakemake.wildcards.dataset,
        seed=int(snakemake.wildcards.seed),
    )

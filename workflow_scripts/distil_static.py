"""Distil the static embeddings of the embedded encoder."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.baselines.model2vec import distil_static

with run_job(snakemake, "model2vec"):
    distil_static(Path(snakemake.output[0]).parent, threads=snakemake.threads)

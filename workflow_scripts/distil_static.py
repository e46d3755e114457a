"""Distil the static embeddings of the embedded encoder."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.stages.baselines.model2vec import distil_static

with logged(snakemake.log[0], "model2vec"):
    distil_static(Path(snakemake.output[0]).parent, threads=snakemake.threads)

"""Download published subword embeddings and convert them to safetensors."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.students.bpemb import fetch_bpemb

with run_job(snakemake, "bpemb"):
    fetch_bpemb(
        snakemake.wildcards.language,
        int(snakemake.wildcards.pieces),
        int(snakemake.wildcards.width),
        Path(snakemake.output[0]).parent,
    )

"""Download published subword embeddings and convert them to safetensors."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.stages.students.bpemb import fetch_bpemb

with logged(snakemake.log[0], "bpemb"):
    fetch_bpemb(
        snakemake.wildcards.language,
        int(snakemake.wildcards.pieces),
        int(snakemake.wildcards.width),
        Path(snakemake.output[0]).parent,
    )

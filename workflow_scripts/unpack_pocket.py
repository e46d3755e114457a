"""Write the embedded generator as a transformers folder."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.nn.pocket.unpack_generator import unpack_generator

with run_job(snakemake, "pocket"):
    unpack_generator(Path(snakemake.output[0]).parent)

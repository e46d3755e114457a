"""Read and check given rows, used in place of generated ones."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.given_rows import read_given

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} rows of {names.generator}"):
    read_given(Path(snakemake.input.rows), Path(snakemake.input.train), Path(snakemake.output[0]))

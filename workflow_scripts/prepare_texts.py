"""Read, check and sample the texts of one dataset."""

from pathlib import Path

from gendist.config.dataset_settings import Dataset
from gendist.jobs.job_script import run_job
from gendist.stages.texts.prepare_texts import prepare_texts

with run_job(snakemake, f"{snakemake.wildcards.dataset} texts"):
    prepare_texts(
        Dataset(**snakemake.params.dataset),
        Path(snakemake.output.train),
        Path(snakemake.output.test),
    )

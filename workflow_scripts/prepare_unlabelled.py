"""Read, check and draw the unlabelled texts of one dataset."""

from pathlib import Path

from gendist.config.dataset_settings import Dataset
from gendist.jobs.job_script import run_job
from gendist.stages.texts.prepare_unlabelled import prepare_unlabelled

with run_job(snakemake, f"{snakemake.wildcards.dataset} unlabelled texts"):
    prepare_unlabelled(
        Dataset(**snakemake.params.dataset),
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]),
    )

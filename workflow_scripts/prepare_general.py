"""Copy the embedded general text for one dataset, without its labelled texts."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.texts.prepare_general import prepare_general

with run_job(snakemake, f"{snakemake.wildcards.dataset} general texts"):
    prepare_general(
        snakemake.params.rows,
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.output[0]),
    )

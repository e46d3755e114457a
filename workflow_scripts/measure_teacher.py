"""Measure the teacher's size and latency."""

from pathlib import Path

from gendist.analysis.costs.load_teacher import load_teacher
from gendist.analysis.costs.measure_costs import measure_costs
from gendist.jobs.job_script import run_job

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} costs of {names.teacher}"):
    measure_costs(
        load_teacher(Path(snakemake.input.model[0]).parent, snakemake.params.max_tokens),
        Path(snakemake.input.test),
        target=Path(snakemake.output[0]),
        dataset=names.dataset,
        kind="teachers",
        name=names.teacher,
    )

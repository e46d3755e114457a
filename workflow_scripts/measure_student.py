"""Measure one student's size and latency."""

from pathlib import Path

from gendist.analysis.costs.load_student import load_student
from gendist.analysis.costs.measure_costs import measure_costs
from gendist.jobs.job_script import run_job

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} costs of {names.student}"):
    measure_costs(
        load_student(Path(snakemake.input.model[0]).parent, Path(snakemake.params.embeddings)),
        Path(snakemake.input.test),
        target=Path(snakemake.output[0]),
        dataset=names.dataset,
        kind="students",
        name=names.student,
    )

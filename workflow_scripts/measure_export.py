"""Measure the exported model's size and latency."""

from pathlib import Path

from gendist.analysis.costs.collect_costs import EXPORT_KIND
from gendist.analysis.costs.load_export import load_export
from gendist.analysis.costs.measure_costs import measure_costs
from gendist.io.json_files import read_json
from gendist.jobs.job_script import run_job

dataset, description = snakemake.wildcards.dataset, Path(snakemake.input.model)
with run_job(snakemake, f"{dataset} costs of the exported model"):
    measure_costs(
        load_export(description.parent),
        Path(snakemake.input.test),
        target=Path(snakemake.output[0]),
        dataset=dataset,
        kind=EXPORT_KIND,
        name=read_json(description)["chosen"]["system"],
    )

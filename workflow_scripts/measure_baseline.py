"""Measure one baseline's size and latency."""

from pathlib import Path

from gendist.analysis.costs.load_baseline import load_baseline
from gendist.analysis.costs.measure_costs import measure_costs
from gendist.jobs.job_script import run_job

names = snakemake.wildcards
test = Path(snakemake.input.test)
with run_job(snakemake, f"{names.dataset} costs of {names.baseline}"):
    measure_costs(
        load_baseline(names.baseline, Path(snakemake.input.model[0]).parent, test, Path(snakemake.params.static)),
        test,
        target=Path(snakemake.output[0]),
        dataset=names.dataset,
        kind="baselines",
        name=names.baseline,
    )

"""Write the HTML report: all tables, figures and their provenance."""

from pathlib import Path

from gendist.analysis.report_page.report_inputs import ReportInputs, details_by_dataset, tables_by_name
from gendist.analysis.report_page.write_report import write_report
from gendist.jobs.job_script import run_job

with run_job(snakemake, "report"):
    datasets = snakemake.params.datasets
    write_report(
        ReportInputs(
            results=Path(snakemake.output[0]).parent,
            logs=Path(snakemake.log[0]).parent,
            metrics=Path(snakemake.input.metrics),
            run_config=Path(snakemake.input.run_config),
            tables=tables_by_name(map(Path, snakemake.input)),
            train=dict(zip(datasets, map(Path, snakemake.input.train), strict=True)),
            test=dict(zip(datasets, map(Path, snakemake.input.test), strict=True)),
            details=details_by_dataset(map(Path, snakemake.input.details)),
            exports=dict(zip(datasets, map(Path, snakemake.input.exports), strict=bool(snakemake.input.exports))),
            pages=dict(zip(datasets, map(Path, snakemake.input.pages), strict=bool(snakemake.input.pages))),
            deployed=dict(zip(datasets, map(Path, snakemake.input.deployed), strict=bool(snakemake.input.deployed))),
        ),
        Path(snakemake.output[0]),
    )

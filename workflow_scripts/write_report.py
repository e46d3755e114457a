"""Write the report: one page of all tables, figures and what made them."""

from pathlib import Path

from gendist.analysis.report_page.report_inputs import ReportInputs, details_by_dataset, tables_by_name
from gendist.analysis.report_page.write_report import write_report
from gendist.jobs.script import logged

with logged(snakemake.log[0], "report"):
    datasets = snakemake.params.datasets
    write_report(
        ReportInputs(
            Path(snakemake.output[0]).parent,
            Path(snakemake.log[0]).parent,
            Path(snakemake.input.metrics),
            Path(snakemake.input.run_config),
            tables_by_name(map(Path, snakemake.input)),
            dict(zip(datasets, map(Path, snakemake.input.train), strict=True)),
            dict(zip(datasets, map(Path, snakemake.input.test), strict=True)),
            details_by_dataset(map(Path, snakemake.input.details)),
            dict(zip(datasets, map(Path, snakemake.input.exports), strict=bool(snakemake.input.exports))),
            dict(zip(datasets, map(Path, snakemake.input.deployed), strict=bool(snakemake.input.deployed))),
        ),
        Path(snakemake.output[0]),
    )

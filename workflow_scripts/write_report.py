"""Write the report: one page of all tables, figures and what made them."""

from pathlib import Path

from gendist.analysis.report_page.sources import Sources, details_files, table_files
from gendist.analysis.report_page.write import write_report
from gendist.jobs.job_script import logged

with logged(snakemake.log[0], "report"):
    datasets = snakemake.params.datasets
    write_report(
        Sources(
            Path(snakemake.output[0]).parent,
            Path(snakemake.log[0]).parent,
            Path(snakemake.input.metrics),
            Path(snakemake.input.run_config),
            table_files(map(Path, snakemake.input)),
            dict(zip(datasets, map(Path, snakemake.input.train), strict=True)),
            dict(zip(datasets, map(Path, snakemake.input.test), strict=True)),
            details_files(map(Path, snakemake.input.details)),
            dict(zip(datasets, map(Path, snakemake.input.exports), strict=bool(snakemake.input.exports))),
            dict(zip(datasets, map(Path, snakemake.input.deployed), strict=bool(snakemake.input.deployed))),
        ),
        Path(snakemake.output[0]),
    )

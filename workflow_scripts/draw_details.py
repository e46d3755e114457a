"""Draw confusion matrix, class scores and reliability of each dataset's best gendist student; list its errors."""

from pathlib import Path

from gendist.analysis.report.system_details import files_by_system, read_temperatures, write_details
from gendist.jobs.job_script import run_job

with run_job(snakemake, "details"):
    found = files_by_system(snakemake.params.runs, snakemake.input.predictions)
    temperatures = {
        choice.parent.parent.name: read_temperatures(choice) for choice in map(Path, snakemake.input.choices)
    }
    for dataset, test, errors in zip(
        snakemake.params.datasets, snakemake.input.test, snakemake.output.errors, strict=True
    ):
        figure = next(path for path in map(Path, snakemake.output.figures) if path.parent.name == dataset)
        write_details(
            found[dataset],
            Path(test),
            figures=figure.parent,
            errors=Path(errors),
            temperatures=temperatures.get(dataset),
        )

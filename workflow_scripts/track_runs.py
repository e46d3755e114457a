"""Enter the study's runs into MLflow."""

from pathlib import Path

from gendist.analysis.mlflow_tracking import track_runs
from gendist.jobs.script import logged

with logged(snakemake.log[0], "tracking"):
    track_runs(
        Path(snakemake.input.metrics),
        Path(snakemake.input.run_config),
        snakemake.params.tracking["mlflow"],
        snakemake.params.tracking["experiment"],
        Path(snakemake.output[0]),
    )

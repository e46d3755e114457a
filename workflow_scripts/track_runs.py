"""Log the study's runs to MLflow."""

from pathlib import Path

from gendist.analysis.mlflow_tracking import track_runs
from gendist.jobs.job_script import run_job

with run_job(snakemake, "tracking"):
    track_runs(
        Path(snakemake.input.metrics),
        run_config=Path(snakemake.input.run_config),
        uri=snakemake.params.tracking["mlflow"],
        experiment=snakemake.params.tracking["experiment"],
        target=Path(snakemake.output[0]),
    )

"""Train and evaluate one student, with one seed or with all seeds of the study."""

from pathlib import Path

from gendist.config.student_settings import Student, Training
from gendist.jobs.job_script import run_job
from gendist.naming import RunKey
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.job_inputs import row_files

names = snakemake.wildcards
keys = {RunKey.from_folder(folder): folder for folder in (Path(p).parent for p in snakemake.output)}
folders = {key.seed: folder for key, folder in keys.items()}
row = student_metadata(min(keys))
seeds = f"seed{'s' if len(folders) > 1 else ''} {' '.join(map(str, folders))}"
with run_job(snakemake, f"{names.dataset} {row.system} n{names.n_synthetic} {seeds}"):
    distil_seeds(
        folders,
        row,
        test=Path(snakemake.input.test),
        embeddings=Path(snakemake.params.embeddings),
        student=Student(**snakemake.params.student),
        training=Training(**snakemake.params.training),
        threads=snakemake.threads,
        device=snakemake.config.get("device", "auto") if len(folders) > 1 else "cpu",
        **row_files(snakemake),
    )

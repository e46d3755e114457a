"""Export the chosen student."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.export.export_student import chosen_index, export_student

with run_job(snakemake, f"{snakemake.wildcards.dataset} export"):
    index = chosen_index(Path(snakemake.input.choice), snakemake.params.runs)
    export_student(
        Path(snakemake.output.description).parent,
        choice=Path(snakemake.input.choice),
        run=Path(snakemake.input.models[index]).parent,
        test=Path(snakemake.input.test),
        embeddings=Path(snakemake.params.embeddings[index]),
        text=snakemake.params.text,
        threads=snakemake.threads,
    )

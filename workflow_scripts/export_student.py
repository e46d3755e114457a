"""Export the chosen student."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.stages.export.student import chosen_place, export_student

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} export"):
    place = chosen_place(Path(snakemake.input.choice), snakemake.params.runs)
    export_student(
        Path(snakemake.output.description).parent,
        Path(snakemake.input.choice),
        Path(snakemake.input.models[place]).parent,
        Path(snakemake.input.test),
        Path(snakemake.params.embeddings[place]),
        snakemake.params.text,
        snakemake.threads,
    )

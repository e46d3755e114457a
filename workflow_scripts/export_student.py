"""Export the chosen student."""

from pathlib import Path

from gendist.jobs.script import logged
from gendist.stages.export.export_student import chosen_index, export_student

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} export"):
    place = chosen_index(Path(snakemake.input.choice), snakemake.params.runs)
    export_student(
        Path(snakemake.output.description).parent,
        Path(snakemake.input.choice),
        Path(snakemake.input.models[place]).parent,
        Path(snakemake.input.test),
        Path(snakemake.params.embeddings[place]),
        snakemake.params.text,
        snakemake.threads,
    )

"""Choose the student to export by its held-out scores."""

from pathlib import Path

from gendist.jobs.script import logged
from gendist.naming import Run
from gendist.stages.export.choose import choose_student

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} choice"):
    choose_student(
        [Run(**run) for run in snakemake.params.runs],
        [Path(p) for p in snakemake.input.held_out],
        Path(snakemake.output[0]),
    )

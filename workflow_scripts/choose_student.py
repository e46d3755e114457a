"""Choose the student to export by its scores of held-out rows."""

from pathlib import Path

from gendist.export.choose import choose_student
from gendist.script import logged
from gendist.systems import Run

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} choice"):
    choose_student(
        [Run(**run) for run in snakemake.params.runs],
        [Path(p) for p in snakemake.input.held_out],
        Path(snakemake.output[0]),
    )

"""Train and evaluate one student."""

from pathlib import Path

from gendist.script import logged
from gendist.students.data import Synthetic
from gendist.students.run import distil_student, student_row
from gendist.students.settings import Student, Training

names = snakemake.wildcards
row = student_row(names.dataset, names.student, names.regime, names.variant, int(names.n_synthetic), int(names.seed))
with logged(snakemake.log[0], f"{names.dataset} {row.system} n{names.n_synthetic} seed {names.seed}"):
    distil_student(
        Path(snakemake.output[0]).parent,
        row,
        Path(snakemake.input.train),
        Path(snakemake.input.test),
        Path(snakemake.params.embeddings),
        Student(**snakemake.params.student),
        Training(**snakemake.params.training),
        Path(snakemake.input.train_logits) if snakemake.input.train_logits else None,
        Synthetic(
            [Path(p) for p in snakemake.input.shards],
            [Path(p) for p in snakemake.input.shard_logits],
            row.n_synthetic,
            Path(snakemake.input.repeats) if snakemake.input.repeats else None,
        ),
        snakemake.threads,
    )

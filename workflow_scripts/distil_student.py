"""Train and evaluate one student, with one seed or with all seeds of the study."""

from pathlib import Path

from gendist.config.student import Student, Training
from gendist.jobs.script import logged
from gendist.stages.students.data import Synthetic, Unlabelled
from gendist.stages.students.run import distil_seeds, student_row

names = snakemake.wildcards
folders = {int(folder.name.removeprefix("seed")): folder for folder in (Path(p).parent for p in snakemake.output)}
row = student_row(names.dataset, names.student, names.regime, names.variant, int(names.n_synthetic), min(folders))
seeds = f"seed{'s' if len(folders) > 1 else ''} {' '.join(map(str, folders))}"
unlabelled = None
if snakemake.input.unlabelled:
    # Under gendist-unlabelled, n_synthetic counts the synthetic rows.
    count = int(names.n_synthetic) if names.regime == "unlabelled" else None
    texts, logits = Path(snakemake.input.unlabelled[0]), Path(snakemake.input.unlabelled[1])
    unlabelled = Unlabelled(texts, logits, count)
with logged(snakemake.log[0], f"{names.dataset} {row.system} n{names.n_synthetic} {seeds}"):
    distil_seeds(
        folders,
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
        snakemake.resources.get("device", "cpu"),
        unlabelled,
    )

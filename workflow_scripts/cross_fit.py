"""Score held-out training rows by cross-fitting students."""

from pathlib import Path

from gendist.config.student import Student, Training
from gendist.jobs.script import logged
from gendist.stages.export.cross_fit import cross_fit
from gendist.stages.students.data import Synthetic, Unlabelled

names = snakemake.wildcards
unlabelled = None
if snakemake.input.unlabelled:
    # Under gendist-unlabelled, n_synthetic counts the synthetic rows.
    count = int(names.n_synthetic) if names.regime == "unlabelled" else None
    texts, logits = Path(snakemake.input.unlabelled[0]), Path(snakemake.input.unlabelled[1])
    unlabelled = Unlabelled(texts, logits, count)
with logged(snakemake.log[0], f"{names.dataset} {names.student} {names.regime} held out"):
    cross_fit(
        Path(snakemake.output[0]),
        Path(snakemake.input.train),
        Path(snakemake.params.embeddings),
        names.regime,
        names.variant,
        Student(**snakemake.params.student),
        Training(**snakemake.params.training),
        snakemake.params.folds,
        snakemake.params.seed,
        Path(snakemake.input.train_logits) if snakemake.input.train_logits else None,
        Synthetic(
            [Path(p) for p in snakemake.input.shards],
            [Path(p) for p in snakemake.input.shard_logits],
            int(names.n_synthetic),
            Path(snakemake.input.repeats) if snakemake.input.repeats else None,
        ),
        snakemake.threads,
        unlabelled,
    )

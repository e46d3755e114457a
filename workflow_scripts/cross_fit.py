"""Score held-out training rows by cross-fitting students."""

from pathlib import Path

from gendist.config.student_settings import Student, Training
from gendist.jobs.job_script import run_job
from gendist.stages.export.cross_fit import cross_fit
from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles

names = snakemake.wildcards
unlabelled = None
if snakemake.input.unlabelled:
    # Under gendist-unlabelled, n_synthetic counts the synthetic rows.
    count = int(names.n_synthetic) if names.regime == "unlabelled" else None
    texts, logits = Path(snakemake.input.unlabelled[0]), Path(snakemake.input.unlabelled[1])
    unlabelled = UnlabelledFiles(texts, logits, count)
general = UnlabelledFiles(*map(Path, snakemake.input.general)) if snakemake.input.general else None
with run_job(snakemake, f"{names.dataset} {names.student} {names.regime} held out"):
    cross_fit(
        Path(snakemake.output[0]),
        train=Path(snakemake.input.train),
        embeddings=Path(snakemake.params.embeddings),
        regime=names.regime,
        variant=names.variant,
        student=Student(**snakemake.params.student),
        training=Training(**snakemake.params.training),
        folds=snakemake.params.folds,
        seed=snakemake.params.seed,
        train_logits=Path(snakemake.input.train_logits) if snakemake.input.train_logits else None,
        synthetic=SyntheticFiles(
            [Path(p) for p in snakemake.input.shards],
            [Path(p) for p in snakemake.input.shard_logits],
            int(names.n_synthetic),
            Path(snakemake.input.repeats) if snakemake.input.repeats else None,
        ),
        threads=snakemake.threads,
        unlabelled=unlabelled,
        general=general,
    )

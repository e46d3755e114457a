"""Measure a pool of generated rows."""

from pathlib import Path

from gendist.analysis.quality.assess_pool import PoolFiles, PoolNames, assess_pool, logits_by_teacher
from gendist.jobs.script import logged

names = snakemake.wildcards
teacher, *others = snakemake.params.teachers
logits = logits_by_teacher(snakemake.params.teachers, snakemake.input.logits)
files = PoolFiles(
    Path(snakemake.input.train),
    Path(snakemake.input.test),
    Path(snakemake.input.generator),
    [Path(p) for p in snakemake.input.shards],
    Path(snakemake.input.repeats),
    Path(snakemake.input.train_logits),
    Path(snakemake.input.test_logits),
    logits[teacher],
    {name: logits[name] for name in others},
)
with logged(snakemake.log[0], f"{names.dataset} {names.generator} {names.sampling} quality"):
    assess_pool(
        files,
        PoolNames(names.dataset, names.generator, names.sampling, teacher),
        snakemake.params.n_rows,
        Path(snakemake.output.json),
        Path(snakemake.output.rows),
        Path(snakemake.output.html),
    )

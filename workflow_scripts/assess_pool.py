"""Measure the quality of a pool of generated rows."""

from pathlib import Path

from gendist.analysis.quality.assess_pool import PoolFiles, PoolNames, assess_pool, logits_by_teacher
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.shard_index import resolve_shards

names = snakemake.wildcards
teacher, *others = snakemake.params.teachers
logits = logits_by_teacher(snakemake.params.teachers, resolve_shards(snakemake.input.logits))
files = PoolFiles(
    train=Path(snakemake.input.train),
    test=Path(snakemake.input.test),
    generator=Path(snakemake.input.generator),
    shards=resolve_shards(snakemake.input.shards),
    repeats=Path(snakemake.input.repeats),
    train_logits=Path(snakemake.input.train_logits),
    test_logits=Path(snakemake.input.test_logits),
    logits=logits[teacher],
    other_logits={name: logits[name] for name in others},
)
with run_job(snakemake, f"{names.dataset} {names.generator} {names.sampling} quality"):
    assess_pool(
        files,
        PoolNames(names.dataset, names.generator, names.sampling, teacher),
        count=snakemake.params.n_rows,
        out_json=Path(snakemake.output.json),
        out_rows=Path(snakemake.output.rows),
        out_html=Path(snakemake.output.html),
    )

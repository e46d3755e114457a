"""Find generated rows that repeat an earlier row or a training row."""

from pathlib import Path

from gendist.analysis.quality.find_repeats import find_repeats
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.shard_index import resolve_shards

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} {names.generator} {names.sampling} repeats"):
    find_repeats(
        Path(snakemake.input.train),
        resolve_shards(snakemake.input.shards),
        int(names.n_synthetic),
        Path(snakemake.output[0]),
    )

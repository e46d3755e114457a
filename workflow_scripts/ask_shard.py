"""Generate one shard of a pool by asking a server."""

from pathlib import Path

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.prompt_shards import PromptedShards, generate_prompted_shards

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} {names.generator}/{names.sampling}"):
    generate_prompted_shards(
        PromptedShards([Path(snakemake.output[0])], int(names.shard), snakemake.params.shard_rows),
        # Not from params, which lack what changes no row: concurrency, retries and prices.
        Generator(**snakemake.config["generators"][names.generator]),
        Sampling(**snakemake.params.sampling),
        train=Path(snakemake.input.train),
    )

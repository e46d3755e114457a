"""Generate one shard of a pool by prompting a chat model on this machine."""

from pathlib import Path

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.prompt_shards import PromptedShards, generate_prompted_shards

names = snakemake.wildcards
# From the config and not from params: the batch size changes no row, and must not rerun the job.
values = snakemake.config.get("samplings", {}).get(names.sampling) or {}
batch_size = {"batch_size": values["batch_size"]} if "batch_size" in values else {}
with run_job(snakemake, f"{names.dataset} {names.generator}/{names.sampling}"):
    generate_prompted_shards(
        PromptedShards([Path(snakemake.output[0])], int(names.shard), snakemake.params.shard_rows),
        Generator(**snakemake.params.generator),
        Sampling(**snakemake.params.sampling, **batch_size),
        train=Path(snakemake.input.train),
        threads=snakemake.threads,
        work=Path(snakemake.params.work),
        device=snakemake.config.get("device", "auto"),
    )

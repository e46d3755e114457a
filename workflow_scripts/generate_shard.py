"""Generate one or more shards of a pool."""

from pathlib import Path

from gendist.config.sampling_settings import Sampling
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.generate_shards import generate_shards

names, shards = snakemake.wildcards, [Path(shard) for shard in snakemake.output]
# From the config and not from params: the batch size changes no row, and must not rerun the job.
sampling = snakemake.config.get("samplings", {}).get(names.sampling) or {}
batch_size = {"batch_size": sampling["batch_size"]} if "batch_size" in sampling else {}
with run_job(snakemake, f"{names.dataset} {names.generator}/{names.sampling}"):
    generate_shards(
        Path(snakemake.input[0]).parent,
        shards,
        Sampling(**snakemake.params.sampling, **batch_size),
        first_shard=int(shards[0].stem.removeprefix("shard-")),
        shard_rows=snakemake.params.shard_rows,
        threads=snakemake.threads,
        train=Path(snakemake.input.train) if snakemake.input.train else None,
        work=Path(snakemake.params.work),
        device=snakemake.config.get("device", "auto"),
    )

"""Generate one or more shards of a pool."""

from pathlib import Path

from gendist.config.sampling import Sampling
from gendist.jobs.script import logged
from gendist.stages.synthetic.shard import generate_shards

names, shards = snakemake.wildcards, [Path(shard) for shard in snakemake.output]
with logged(snakemake.log[0], f"{names.dataset} {names.generator}/{names.sampling}"):
    generate_shards(
        Path(snakemake.input[0]).parent,
        shards,
        Sampling(**snakemake.params.sampling, batch_size=snakemake.resources.batch_size),
        int(shards[0].stem.removeprefix("shard-")),
        snakemake.params.shard_rows,
        snakemake.threads,
        Path(snakemake.input.train) if snakemake.input.train else None,
        Path(snakemake.params.work),
        snakemake.resources.device,
    )

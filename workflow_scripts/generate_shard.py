"""Generate one shard of a pool."""

from pathlib import Path

from gendist.script import logged
from gendist.synthetic.settings import Sampling
from gendist.synthetic.shard import generate_shard

names = snakemake.wildcards
with logged(snakemake.log[0], f"{names.dataset} {names.generator}/{names.sampling}"):
    generate_shard(
        Path(snakemake.input[0]).parent,
        Path(snakemake.output[0]),
        Sampling(**snakemake.params.sampling, batch_size=snakemake.resources.batch_size),
        int(names.shard),
        snakemake.params.shard_rows,
        snakemake.threads,
        Path(snakemake.input.train) if snakemake.input.train else None,
        Path(snakemake.params.work),
        snakemake.resources.device,
    )

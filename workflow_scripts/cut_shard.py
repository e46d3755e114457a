"""Write one shard of a pool from given rows."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.stages.synthetic.given_rows import cut_shard

names = snakemake.wildcards
with logged(snakemake.log[0], f"{names.dataset} {names.generator}/{names.sampling}"):
    cut_shard(Path(snakemake.input.rows), Path(snakemake.output[0]), int(names.shard), snakemake.params.shard_rows)

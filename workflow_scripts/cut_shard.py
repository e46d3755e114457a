"""Write one shard of a pool from given rows."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.given_rows import cut_shard

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} {names.generator}/{names.sampling}"):
    cut_shard(Path(snakemake.input.rows), Path(snakemake.output[0]), int(names.shard), snakemake.params.shard_rows)

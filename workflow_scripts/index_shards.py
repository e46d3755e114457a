"""Write the index of a large pool's shards, or of their logits."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.shard_index import write_shard_index

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} {names.generator}/{names.sampling} index"):
    write_shard_index(Path(snakemake.output[0]), int(names.n_shards))

"""Write Table 3: random samples of generated text."""

from pathlib import Path

from gendist.analysis.generated_rows import pools_by_dataset
from gendist.analysis.report.table3 import write_table3
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.shard_index import resolve_shards

with run_job(snakemake, "table3"):
    write_table3(
        pools_by_dataset(
            counts=snakemake.params.counts,
            shard_rows=snakemake.params.shard_rows,
            train=snakemake.input.train,
            shards=resolve_shards(snakemake.input.shards),
            logits=resolve_shards(snakemake.input.logits),
        ),
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
    )

"""Write Table 4: generated rows and their nearest real rows."""

from pathlib import Path

from gendist.analysis.generated_rows import pools_by_dataset
from gendist.analysis.report.table4 import write_table4
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.shard_index import resolve_shards

with run_job(snakemake, "table4"):
    write_table4(
        pools_by_dataset(
            counts=snakemake.params.counts,
            shard_rows=snakemake.params.shard_rows,
            train=snakemake.input.train,
            shards=resolve_shards(snakemake.input.shards),
            logits=[],
        ),
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
    )

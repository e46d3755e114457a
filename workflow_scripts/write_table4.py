"""Write Table 4: generated rows and their nearest real rows."""

from pathlib import Path

from gendist.analysis.generated_rows import generated_by_dataset
from gendist.analysis.report.table4 import write_table4
from gendist.jobs.job_script import logged

with logged(snakemake.log[0], "table4"):
    write_table4(
        generated_by_dataset(
            snakemake.params.counts,
            snakemake.params.shard_rows,
            snakemake.input.train,
            snakemake.input.shards,
            [],
        ),
        Path(snakemake.output.csv),
        Path(snakemake.output.md),
    )

"""Write what generated rows have in common with the real training rows."""

from pathlib import Path

from gendist.analysis.generated_rows import pools_by_dataset
from gendist.analysis.quality.memorisation import write_memorisation
from gendist.jobs.script import logged

with logged(snakemake.log[0], "memorisation"):
    write_memorisation(
        pools_by_dataset(
            snakemake.params.counts,
            snakemake.params.shard_rows,
            snakemake.input.train,
            snakemake.input.shards,
            [],
        ),
        dict(zip(snakemake.params.counts, map(Path, snakemake.input.test), strict=True)),
        Path(snakemake.output.csv),
        Path(snakemake.output.md),
    )

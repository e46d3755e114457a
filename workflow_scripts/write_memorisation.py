"""Write the overlap of generated rows with the training rows."""

from pathlib import Path

from gendist.analysis.generated_rows import pools_by_dataset
from gendist.analysis.quality.memorisation import write_memorisation
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.shard_index import resolve_shards

with run_job(snakemake, "memorisation"):
    write_memorisation(
        pools_by_dataset(
            counts=snakemake.params.counts,
            shard_rows=snakemake.params.shard_rows,
            train=snakemake.input.train,
            shards=resolve_shards(snakemake.input.shards),
            logits=[],
        ),
        dict(zip(snakemake.params.counts, map(Path, snakemake.input.test), strict=True)),
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
    )

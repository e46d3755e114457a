"""Read, check and sample the texts of one dataset."""

from pathlib import Path

from gendist.script import logged
from gendist.texts.prepare import prepare_texts
from gendist.texts.settings import Dataset

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} texts"):
    prepare_texts(
        Dataset(**snakemake.params.dataset),
        Path(snakemake.output.train),
        Path(snakemake.output.test),
    )

"""Write the embedded generator as a transformers folder."""

from pathlib import Path

from gendist.jobs.job_script import logged
from gendist.nn.pocket.unpack_generator import unpack_generator

with logged(snakemake.log[0], "pocket"):
    unpack_generator(Path(snakemake.output[0]).parent)

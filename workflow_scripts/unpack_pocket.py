"""Write the embedded generator as an ordinary transformers folder."""

from pathlib import Path

from gendist.pocket.unpack import unpack_generator
from gendist.script import logged

with logged(snakemake.log[0], "pocket"):
    unpack_generator(Path(snakemake.output[0]).parent)

"""How files are written: whole or not at all, and always saying what made them."""

from gendist.artifacts.folders import model_folder
from gendist.artifacts.parquet import read_metadata, read_parquet, write_parquet
from gendist.artifacts.provenance import Provenance, hash_file, hash_folder

__all__ = [
    "Provenance",
    "hash_file",
    "hash_folder",
    "model_folder",
    "read_metadata",
    "read_parquet",
    "write_parquet",
]

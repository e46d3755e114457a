"""How files are written: whole or not at all, and always saying what made them."""

from gendist.artifacts.files import read_json, write_bytes, write_json, write_tensors, write_text
from gendist.artifacts.folders import model_folder
from gendist.artifacts.intact import require_intact_folder, require_intact_tensors, sealed
from gendist.artifacts.parquet import read_metadata, read_parquet, write_parquet, write_parquet_parts
from gendist.artifacts.provenance import KEY, Provenance, hash_file, hash_folder

__all__ = [
    "KEY",
    "Provenance",
    "hash_file",
    "hash_folder",
    "model_folder",
    "read_json",
    "read_metadata",
    "read_parquet",
    "require_intact_folder",
    "require_intact_tensors",
    "sealed",
    "write_bytes",
    "write_json",
    "write_parquet",
    "write_parquet_parts",
    "write_tensors",
    "write_text",
]

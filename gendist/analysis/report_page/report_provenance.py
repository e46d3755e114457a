"""Versions of packages, and hashes of models and data, shown in the report."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gendist import __version__
from gendist.analysis.report_page.report_inputs import PageTable
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from gendist.io.provenance import PROVENANCE_FILE, PROVENANCE_KEY, hash_file

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "scikit-learn",
    "floret",
    "pyarrow",
    "snakemake",
    "matplotlib",
)


def source_models(results: Path, dataset: str, config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (role, name, hash of the weights or hub revision) of the main pretrained models.

    Omits missing model folders, so that partly copied results work.
    """
    found = []
    for role, section in (("generator", "generators"), ("teacher", "teachers")):
        name, settings = next(iter(config[section].items()))
        record = results / dataset / section / name / PROVENANCE_FILE
        if record.is_file():
            models = read_json(record).get("source_models", {})
            model = str(settings.get("model") or settings["endpoint"]["model"])
            found += [(role, model, str(origin)) for origin in models.values()]
    return found


def data_hashes(train: Path, test: Path) -> list[tuple[str, str]]:
    """Return (file, SHA-256) of a dataset's rows and their source files."""
    found = []
    for name, path in (("train", train), ("test", test)):
        record = read_metadata(path).get(PROVENANCE_KEY, {})
        found += [(f"source of {name}, {key}", str(value)) for key, value in record.get("inputs", {}).items()]
        found.append((f"{name} rows", hash_file(path)))
    return found


def installed_versions() -> PageTable:
    """Return the installed versions of the main packages."""
    rows = [["gendist", __version__], ["Python", platform.python_version()]]
    for package in PACKAGES:
        try:
            rows.append([package, version(package)])
        except PackageNotFoundError:
            continue
    return PageTable(["package", "version"], rows)

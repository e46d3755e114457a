"""What must be equal, byte by byte, between two runs of one study."""

import hashlib
import re
from pathlib import Path

import pyarrow.parquet as pq

TIMED = {
    *("logs", "timing.json", "costs", "costs.parquet", "costs.csv", "costs.md"),
    *("tradeoff.svg", "tradeoff.png", "tradeoff.csv"),
}
"""Names of folders and files that hold measured times."""
SECONDS = {"metrics.parquet": "train_seconds"}
"""Columns with seconds, in tables that are equal otherwise."""
TIMED_PARTS = re.compile(
    r"<figure>\s*<figcaption><b>Accuracy against (?:size|latency)\..*?</figure>"
    r"|<table>\s*<thead><tr><th>system</th><th[^>]*>size.*?</table>"
    r"|<h3 id=\"d\d+-cost\">.*?(?=<h3 |</section>)",
    re.DOTALL,
)
"""Of `report.html`: what it shows of those files."""


def fingerprint(results: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a results folder by its path, measured times left out."""
    found = {}
    for file in sorted(results.rglob("*")):
        name = file.relative_to(results)
        if file.is_file() and not TIMED & {*name.parts}:
            found[name.as_posix()] = hashlib.sha256(_content(file)).hexdigest()
    return found


def _content(file: Path) -> bytes:
    if file.name in SECONDS:
        table = pq.read_table(file).drop_columns([SECONDS[file.name]])
        return repr((table.schema.names, table.schema.metadata, table.to_pylist())).encode()
    if file.name == "report.html":
        return TIMED_PARTS.sub("", file.read_text(encoding="utf-8")).encode()
    return file.read_bytes()


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return the paths that only one of two fingerprints has, or that differ."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))

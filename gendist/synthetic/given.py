"""Rows that another tool or model wrote: from the user's file to a pool's shards."""

import logging
from pathlib import Path

import pyarrow as pa

from gendist.artifacts import Provenance, hash_file, read_metadata, read_parquet, write_parquet
from gendist.errors import GendistError
from gendist.texts.prepare import label_of, text_of
from gendist.texts.sources import read_file
from gendist.texts.tables import read_texts

log = logging.getLogger(__name__)

TEXT, LABEL = "text", "label"
"""Columns of the user's file."""
GIVEN, EMPTY = "given", "empty"
"""Values of a shard's ``finish``; an empty row keeps its place in the pool."""


def read_given(file: Path, train: Path, target: Path) -> None:
    """Write the rows of a file in its order: row, text, and label (a class name) if the file has such a column.

    Args:
        file: .csv, .tsv, .jsonl or .parquet with a column ``text``; ``label`` holds the class that each row was
            asked for.
        train: ``texts/train.parquet``, for the names of the classes.
        target: Parquet file to write.

    Raises:
        GendistError: if the file cannot be read, has no column ``text``, a cell is no text, or a label is empty or
            no class of the training rows.
    """
    present = read_file(file, None).columns
    source = read_file(file, [TEXT, LABEL] if LABEL in present else [TEXT])
    texts = [text_of(source, index, [TEXT]) for index in range(len(source.rows))]
    columns = {
        "row": pa.array(range(len(texts)), pa.int64()),
        "text": pa.array([text if any(map(str.isalnum, text)) else "" for text in texts], pa.string()),
    }
    if LABEL in source.columns:
        names = read_texts(train).label_names
        labels = [label_of(source, index, LABEL) for index in range(len(texts))]
        for number, label in zip(source.rows, labels, strict=True):
            if label not in names:
                shown = f"label '{label}' is none of the classes {', '.join(names)}" if label else "empty label"
                raise GendistError(
                    f"{file}, {source.unit} {number}: {shown}; column '{LABEL}' holds the class that each text was "
                    "asked for: correct it, or remove the column"
                )
        columns[LABEL] = pa.array(labels, pa.string())
    write_parquet(target, pa.table(columns), Provenance("generators", {"source": source.digest}))
    log.info("%s: %d rows", file, len(texts))


def cut_shard(rows: Path, target: Path, shard: int, shard_rows: int) -> None:
    """Write rows ``shard * shard_rows`` to ``(shard + 1) * shard_rows - 1`` of the pool, or as many as there are.

    Writes row, text, n_tokens (words between white space) and finish: ``given``, or ``empty`` (no letter or digit).

    Args:
        rows: what ``read_given`` wrote.
        target: Parquet file to write.
        shard: number of the shard, from 0.
        shard_rows: rows in a shard.

    Raises:
        GendistError: if ``rows`` is missing, damaged, or has no row of this shard.
    """
    table = read_parquet(rows, {"row": "whole numbers", "text": "texts"})[shard * shard_rows :][:shard_rows]
    if table.num_rows == 0:
        raise GendistError(f"{rows}: no row {shard * shard_rows}; the generator's file has too few rows")
    texts = table["text"].to_pylist()
    finish = [GIVEN if text else EMPTY for text in texts]
    columns = {
        "row": table["row"],
        "text": table["text"],
        "n_tokens": pa.array([len(text.split()) for text in texts], pa.int32()),
        "finish": pa.array(finish, pa.string()),
    }
    source = read_metadata(rows).get("gendist", {}).get("inputs", {}).get("source", "")
    inputs = {"generator": hash_file(rows), "source": source}
    provenance = Provenance("synthetic", inputs, {"shard": shard, "shard_rows": shard_rows})
    counts = {kind: finish.count(kind) for kind in (GIVEN, EMPTY)}
    write_parquet(target, pa.table(columns), provenance, {"finish_counts": counts})
    log.info("%s: %s", target, counts)

"""Import a user's file of generated rows, written by another tool or model, as shards of a pool."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions
from gendist.io.parquet import read_metadata, read_parquet, write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.io.text_encodings import ROWS_FILE
from gendist.stages.texts.labelled_rows import join_text, read_label
from gendist.stages.texts.raw_rows import RawRows, read_rows
from gendist.stages.texts.text_tables import read_texts

log = logging.getLogger(__name__)

TEXT, LABEL = "text", "label"
"""Columns of the user's file."""
GIVEN, EMPTY = "given", "empty"
"""Values of a shard's ``finish``; empty rows stay in the pool."""


def read_given(file: Path, train: Path, target: Path) -> None:
    """Write the rows of a user's file as Parquet with columns row, text and, if the file has it, label.

    Args:
        file: .csv, .tsv, .jsonl or .parquet with a column ``text``, and optionally ``label``, the class name that
            each text was generated for.
        train: ``texts/train.parquet``, which defines the class names.
        target: Parquet file to write.

    Raises:
        GendistError: if the file cannot be read, has no column ``text``, a cell is not text, or a label is empty or
            not a class of the training rows.
    """
    source, texts, labels = given_texts(file, read_texts(train).label_names)
    for note in source.notes:
        log.warning("%s: %s", source.name, note)
    columns = {
        "row": pa.array(range(len(texts)), pa.int64()),
        "text": pa.array([text if any(map(str.isalnum, text)) else "" for text in texts], pa.string()),
    }
    if labels is not None:
        columns[LABEL] = pa.array(labels, pa.string())
    write_parquet(target, pa.table(columns), Provenance("generators", {"source": hash_file(file)}))
    log.info("%s: %d rows", file, len(texts))


def given_texts(file: Path, classes: Sequence[str]) -> tuple[RawRows, list[str], list[str] | None]:
    """Read a user's file; return its rows, their texts, and their labels or None.

    Args:
        file: as for ``read_given``.
        classes: accepted labels; empty for any.

    Raises:
        GendistError: as ``read_given``.
    """
    present = _read(file, None)
    # A duplicate column is requested, too, so that it is reported as an error.
    with_labels = LABEL in present.columns or LABEL in present.duplicate_columns
    source = _read(file, [TEXT, LABEL] if with_labels else [TEXT])
    texts = [join_text(source, index, [TEXT]) for index in range(len(source.numbers))]
    if not with_labels:
        return source, texts, None
    labels = [read_label(source, index, LABEL) for index in range(len(texts))]
    for number, label in zip(source.numbers, labels, strict=True):
        if not label or (classes and label not in classes):
            shown = f"label '{label}' is none of the classes {', '.join(classes)}" if label else "empty label"
            raise GendistError(
                f"{file}, {source.unit} {number}: {shown}; column '{LABEL}' is the class that each text was "
                "generated for: correct it, or remove the column"
            )
    return source, texts, labels


def _read(file: Path, columns: Sequence[str] | None) -> RawRows:
    return read_rows(file, columns, reading=ReadOptions(), option=ROWS_FILE)


def cut_shard(rows: Path, target: Path, shard: int, shard_rows: int) -> None:
    """Write one shard of the pool: up to ``shard_rows`` rows from row ``shard * shard_rows``.

    Columns: row, text, n_tokens (number of words) and finish, which is ``given`` or ``empty`` (no letter or digit).

    Args:
        rows: output of ``read_given``.
        target: Parquet file to write.
        shard: number of the shard, from 0.
        shard_rows: rows per shard.

    Raises:
        GendistError: if ``rows`` is missing or damaged, or has too few rows for this shard.
    """
    table = read_parquet(rows, {"row": "integers", "text": "strings"})[shard * shard_rows :][:shard_rows]
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

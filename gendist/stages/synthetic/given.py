"""Rows that another tool or model wrote: from the user's file to a pool's shards."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from gendist.errors import GendistError
from gendist.io.delimited_files import ReadOptions
from gendist.io.parquet import read_metadata, read_parquet, write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.io.text_encodings import ROWS_FILE
from gendist.stages.texts.labelled import label_of, text_of
from gendist.stages.texts.sources import Source, read_file
from gendist.stages.texts.tables import read_texts

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


def given_texts(file: Path, classes: Sequence[str]) -> tuple[Source, list[str], list[str] | None]:
    """Read the rows of a user's file: these, their texts, and their labels if the file has a column for them.

    Args:
        file: as ``read_given`` takes it.
        classes: names that the labels may have; empty for any.

    Raises:
        GendistError: as ``read_given``.
    """
    present = _read(file, None)
    # A column that stands twice is asked for too, to be refused.
    with_labels = LABEL in present.columns or LABEL in present.twice
    source = _read(file, [TEXT, LABEL] if with_labels else [TEXT])
    texts = [text_of(source, index, [TEXT]) for index in range(len(source.rows))]
    if not with_labels:
        return source, texts, None
    labels = [label_of(source, index, LABEL) for index in range(len(texts))]
    for number, label in zip(source.rows, labels, strict=True):
        if not label or (classes and label not in classes):
            shown = f"label '{label}' is none of the classes {', '.join(classes)}" if label else "empty label"
            raise GendistError(
                f"{file}, {source.unit} {number}: {shown}; column '{LABEL}' holds the class that each text was "
                "asked for: correct it, or remove the column"
            )
    return source, texts, labels


def _read(file: Path, columns: Sequence[str] | None) -> Source:
    return read_file(file, columns, ReadOptions(), option=ROWS_FILE)


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

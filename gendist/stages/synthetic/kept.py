"""Rows of a shard that outlive the job that generated them."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gendist.jobs import stop_signals
from gendist.jobs.save_timer import SaveTimer
from gendist.jobs.work_folder import WorkFolder
from gendist.stages.synthetic.slots import Row

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two files of rows."""
SUFFIX = ".parquet"


class KeptRows:
    """The rows of a shard so far: those of earlier attempts, and those that are added and saved now and then."""

    def __init__(self, work: WorkFolder, numbers: Iterable[int]) -> None:
        """Read what earlier attempts generated of the rows with these numbers."""
        self.work = work
        self.wanted = set(numbers)
        self.rows: dict[int, Row] = {}
        for file in work.saved_files(SUFFIX):
            self.rows.update((row.number, row) for row in _read(file) if row.number in self.wanted)
        self._new: list[Row] = []
        self._due = SaveTimer(EVERY)

    def add(self, row: Row) -> None:
        """Take a generated row; save if it is time."""
        self.rows[row.number] = row
        self._new.append(row)
        if self._due.is_due():
            self.save()

    def save(self) -> None:
        """Make the rows since the last save durable, as one more file."""
        if not self._new:
            return
        rows, self._new = sorted(self._new, key=lambda row: row.number), []
        with self._due.saving():
            self.work.save_file(f"rows-{rows[0].number:08d}", SUFFIX, lambda part: _write(part, rows))

    @contextmanager
    def saved(self) -> Iterator[None]:
        """Save at the end, however it comes, and tell how far a stopped job came."""
        try:
            with stop_signals.defer_stop():
                yield
        except stop_signals.Stopped:
            log.info("stopped after %d of %d rows", len(self.rows), len(self.wanted))
            raise
        finally:
            self.save()


def _write(file: Path, rows: list[Row]) -> None:
    table = pa.table(
        {
            "number": pa.array([row.number for row in rows], pa.int64()),
            "tokens": pa.array([row.tokens for row in rows], pa.list_(pa.int32())),
            "stopped": pa.array([row.stopped for row in rows], pa.bool_()),
        }
    )
    pq.write_table(table, file, compression="zstd")


def _read(file: Path) -> Iterator[Row]:
    for record in pq.read_table(file).to_pylist():
        yield Row(record["number"], record["tokens"], record["stopped"])

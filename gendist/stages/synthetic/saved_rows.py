"""Rows of unfinished shards, saved in the work folder so that an interrupted job can resume."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gendist.jobs import stop_signals
from gendist.jobs.save_timer import SaveTimer
from gendist.jobs.work_folder import WorkFolder
from gendist.stages.synthetic.batch_slots import GeneratedRow

log = logging.getLogger(__name__)

SAVE_SECONDS = 10.0
"""Seconds between saves."""
SUFFIX = ".parquet"


class SavedRows:
    """The rows generated so far, by this job and by interrupted ones."""

    def __init__(self, work: WorkFolder, numbers: Iterable[int]) -> None:
        """Load the rows with these numbers that interrupted jobs have saved."""
        self.work = work
        self.numbers = set(numbers)
        self.rows: dict[int, GeneratedRow] = {}
        for file in work.saved_files(SUFFIX):
            self.rows.update((row.number, row) for row in _read(file) if row.number in self.numbers)
        self._unsaved: list[GeneratedRow] = []
        self._due = SaveTimer(SAVE_SECONDS)

    def add(self, row: GeneratedRow) -> None:
        """Add a generated row; save if ``SAVE_SECONDS`` have passed."""
        self.rows[row.number] = row
        self._unsaved.append(row)
        if self._due.is_due():
            self.save()

    def save(self) -> None:
        """Write the unsaved rows to one more file."""
        if not self._unsaved:
            return
        rows, self._unsaved = sorted(self._unsaved, key=lambda row: row.number), []
        with self._due.saving():
            self.work.save_file(f"rows-{rows[0].number:08d}", SUFFIX, lambda part: _write(part, rows))

    @contextmanager
    def save_on_exit(self) -> Iterator[None]:
        """Save on leaving the context, also by an exception; log the progress of a stopped job."""
        try:
            with stop_signals.defer_stop():
                yield
        except stop_signals.Stopped:
            log.info("stopped after %d of %d rows", len(self.rows), len(self.numbers))
            raise
        finally:
            self.save()


def _write(file: Path, rows: list[GeneratedRow]) -> None:
    table = pa.table(
        {
            "number": pa.array([row.number for row in rows], pa.int64()),
            "tokens": pa.array([row.tokens for row in rows], pa.list_(pa.int32())),
            "stopped": pa.array([row.stopped for row in rows], pa.bool_()),
        }
    )
    pq.write_table(table, file.absolute(), compression="zstd")


def _read(file: Path) -> Iterator[GeneratedRow]:
    for record in pq.read_table(file.absolute()).to_pylist():
        yield GeneratedRow(record["number"], record["tokens"], record["stopped"])

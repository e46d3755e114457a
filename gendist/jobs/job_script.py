"""Context of every workflow script: logging, stop signals and one-line errors."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from gendist.errors import DEBUG_VARIABLE, GendistError, describe_unexpected
from gendist.io.os_errors import explain_os_error
from gendist.jobs import stop_signals


def run_job(snakemake: Any, name: str) -> AbstractContextManager[None]:
    """Return ``log_job`` for a workflow script, with the log file of its rule.

    Args:
        snakemake: the object that Snakemake puts into its scripts.
        name: prefix of the lines on the terminal.
    """
    return log_job(snakemake.log[0], name)


@contextmanager
def log_job(log_file: str, name: str) -> Iterator[None]:
    """Log to ``log_file`` and to the terminal, and turn errors into one line.

    A ``GendistError`` or a file system error exits with status 1 and its message. Any other exception is a bug: it
    exits with status 1 and one line, with its traceback in the log file, and on the terminal if GENDIST_DEBUG is set.
    SIGTERM and Ctrl-C exit with status 143 and 130, after saving the work.

    Args:
        log_file: emptied first; its folder is created.
        name: prefix of the lines on the terminal.
    """
    logging.raiseExceptions = False  # a failed write to the log, as on a full disk, must not hide the cause
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    # Empty the file, then append: the handler would otherwise overwrite the traceback that is appended below.
    Path(log_file).write_bytes(b"")
    to_file = logging.FileHandler(log_file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(logging.Formatter(f"[{name}] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal], force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    for verbose in ("transformers", "huggingface_hub", "httpx", "httpx2", "openai", "datasets", "py.warnings"):
        logging.getLogger(verbose).setLevel(logging.ERROR)
    try:
        with stop_signals.handle_stop_signals():
            yield
    except stop_signals.Stopped as stop:
        logging.info("stopped by %s; rerun the same command to resume", stop.signal)
        raise
    except GendistError as error:
        logging.error("error: %s", error)
        raise SystemExit(1) from None
    except Exception as error:
        if explained := explain_os_error(Path(getattr(error, "filename", None) or Path(log_file).parent), error):
            logging.error("error: %s", explained)
            raise SystemExit(1) from None
        with Path(log_file).open("a", encoding="utf-8") as stream:
            traceback.print_exc(file=stream)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        logging.error("%s (traceback in %s)", describe_unexpected(error), log_file)
        raise SystemExit(1) from None

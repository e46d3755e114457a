"""What every workflow script does around its one call into the package."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendist.errors import DEBUG_VARIABLE, GendistError, describe_unexpected
from gendist.io.os_errors import explain_os_error
from gendist.jobs import stop_signals


@contextmanager
def logged(log_file: str, name: str) -> Iterator[None]:
    """Send log lines to ``log_file`` and, for progress, to the terminal; tell errors in one line.

    A ``GendistError`` ends the script with status 1 and its message; anything else, which
    would be a fault of ours, with status 1, one line, and its traceback in the log file, and on the
    terminal where the environment has GENDIST_DEBUG.
    SIGTERM and Ctrl-C end it with status 143 and 130, once the work that can be kept is saved.
    """
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk say, is not to drown the cause
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    # Emptied, then appended to: a traceback that is appended apart would be written over otherwise.
    Path(log_file).write_bytes(b"")
    to_file = logging.FileHandler(log_file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(logging.Formatter(f"[{name}] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal], force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    for chatty in ("transformers", "huggingface_hub", "httpx", "datasets", "py.warnings"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        with stop_signals.handle_stop_signals():
            yield
    except stop_signals.Stopped as stop:
        logging.info("stopped by %s; to go on, run the same command again", stop.signal)
        raise
    except GendistError as error:
        logging.error("error: %s", error)
        raise SystemExit(1) from None
    except Exception as error:
        if told := explain_os_error(Path(getattr(error, "filename", None) or Path(log_file).parent), error):
            logging.error("error: %s", told)
            raise SystemExit(1) from None
        with Path(log_file).open("a", encoding="utf-8") as stream:
            traceback.print_exc(file=stream)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        logging.error("%s (traceback in %s)", describe_unexpected(error), log_file)
        raise SystemExit(1) from None

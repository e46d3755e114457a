"""What every workflow script does around its one call into the package."""

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gendist import stopping
from gendist.errors import GendistError


@contextmanager
def logged(log_file: str, name: str) -> Iterator[None]:
    """Send log lines to ``log_file`` and, for progress, to the terminal; tell errors in one line.

    A ``GendistError`` ends the script with status 1 and its message; anything else, which
    would be a fault of ours, with status 1, one line, and its traceback in the log file.
    SIGTERM and Ctrl-C end it with status 143 and 130, once the work that can be kept is saved.
    """
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(log_file, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(logging.Formatter(f"[{name}] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal], force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    for chatty in ("transformers", "huggingface_hub", "httpx", "datasets", "py.warnings"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        with stopping.listening():
            yield
    except stopping.Stopped as stop:
        logging.info("stopped by %s; to go on, run the same command again", stop.signal)
        raise
    except GendistError as error:
        logging.error("error: %s", error)
        raise SystemExit(1) from None
    except Exception as error:
        with Path(log_file).open("a", encoding="utf-8") as stream:
            traceback.print_exc(file=stream)
        logging.error("unexpected %s: %s (traceback in %s)", type(error).__name__, error, log_file)
        raise SystemExit(1) from None

"""A process that does the imports of jobs' scripts once, and forks a process for each job.

Importing PyTorch takes as long as some hundred steps of a student's training, and a study has many students. Only
imports are shared: nothing has been called when a job begins, so it finds what it would find in a new Python.

Not ``multiprocessing``'s fork server: that one ends by SIGTERM, which `gendist run` sends to all processes of a study,
and then counts jobs that still save their work as ended; each of its children imports Snakemake's command line; and
what it imports must be known before the first job.
"""

import ast
import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

MESSAGE = 1 << 20
"""Bytes of the longest message."""
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What is sent to all processes of a study: jobs listen, the starter ends after them."""
FORK_SAFE = {"jemalloc_bg_thd"}
"""Threads that may be there when a process forks: pyarrow's allocator puts itself right in the child."""
PACKAGE = Path(__file__).parent.parent


class Starter:
    """Serves requests until the other end of ``control`` is closed and all jobs have ended.

    A request is a JSON object (``script``, ``environment``, and ``more`` if there will be others) with a
    socket for the answer: the process's id, and at the end the exit status as a shell tells it. A
    request that is not answered has started nothing.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.jobs: dict[int, tuple[int, socket.socket]] = {}
        """By a descriptor that tells of the process's end: its id, and where to answer."""
        self.told, self.tell = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        """Jobs tell which modules they have imported on their way."""
        self.states: dict[Path, tuple[int, int]] = {}
        """Time and size of the package's files when they were imported."""
        self.handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self.ready = selectors.DefaultSelector()

    def serve(self) -> None:
        """Answer requests."""
        self.handlers = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
        for end in (self.control, self.told):
            self.ready.register(end, selectors.EVENT_READ)
        while self.jobs or self.control.fileno() >= 0:
            for key, _ in self.ready.select():
                if key.fd in self.jobs:
                    self._report(key.fd)
                elif key.fileobj is self.told:
                    self._import(json.loads(self.told.recv(MESSAGE)))
                else:
                    self._answer()

    def _answer(self) -> None:
        message, files, _, _ = socket.recv_fds(self.control, MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
        if not message:
            self.ready.unregister(self.control)
            self.control.close()
            return
        request, answer = json.loads(message), socket.socket(fileno=files[0])
        if not (self._import(named(Path(request["script"]))) and self.forkable()):
            answer.close()  # what is wrong is told by the job itself, started otherwise
            return
        if not (child := os.fork()):
            self._leave()
            become(request["script"], request["environment"], self.tell if request["more"] else None)
        watched = os.pidfd_open(child)
        self.jobs[watched] = child, answer
        self.ready.register(watched, selectors.EVENT_READ)
        with suppress(OSError):
            answer.send(str(child).encode())

    def _leave(self) -> None:
        """Be a job: let go of what is the starter's, but hold this job's own socket, which tells that it lives."""
        self.ready.close()
        for end in (self.control, self.told, *(answer for _, answer in self.jobs.values())):
            end.close()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _report(self, watched: int) -> None:
        child, answer = self.jobs.pop(watched)
        self.ready.unregister(watched)
        os.close(watched)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with answer, suppress(OSError):
            answer.send(str(status if status >= 0 else 128 - status).encode())

    def _import(self, modules: Iterable[str]) -> bool:
        """Import modules that are not there; say whether all could be."""
        missing = [name for name in modules if name not in sys.modules]
        try:
            for name in missing:
                importlib.import_module(name)
        except Exception:
            return False
        if missing:
            for module in list(sys.modules.values()):
                file = Path(getattr(module, "__file__", None) or "/")
                if PACKAGE in file.parents:
                    self.states.setdefault(file, state(file))
            gc.collect()
            gc.freeze()  # else the jobs' collections would touch, and so copy, every page
        return True

    def forkable(self) -> bool:
        """Say whether a job would be as in a new process.

        No thread gets lost, the code is what lies on the disk, and no library has numbers near zero rounded to it.
        """
        threads = [Path(task.path, "comm").read_text().strip() for task in os.scandir("/proc/self/task")]
        alone = sum(name not in FORK_SAFE for name in threads) == 1
        return alone and sys.float_info.min / 2 > 0 and all(state(file) == was for file, was in self.states.items())


def named(script: Path) -> list[str]:
    """Return the modules that a script's import statements name."""
    found: list[str] = []
    for node in ast.parse(script.read_bytes()).body:
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found


def state(file: Path) -> tuple[int, int]:
    """Return a file's time and size, as far as there is one."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def become(script: str, environment: dict[str, str], tell: socket.socket | None) -> NoReturn:
    """Run a script in this process as Python would, and end.

    Args:
        script: its path.
        environment: all variables.
        tell: where to send the names of modules that it imports on its way, as a JSON list.
    """
    status, before = 1, set(sys.modules)
    try:
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [script]
        sys.path.insert(0, str(Path(script).parent))
        runpy.run_path(script, run_name="__main__")
        status = 0
    except SystemExit as stop:
        status = _status(stop)
    except BaseException:
        traceback.print_exc()
    finally:
        if tell and not status:
            with suppress(OSError):  # a longer list than a message holds; or the starter was killed
                tell.send(json.dumps([name for name in sys.modules if name not in before]).encode())
        with suppress(Exception):
            # The rest of what Python does at its end touches every page, to free what ends with the process anyway.
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _status(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return (stop.code or 0) & 0xFF
    print(stop.code, file=sys.stderr)
    return 1


def main() -> None:
    """Serve on the socket whose number is the first argument."""
    Starter(socket.socket(fileno=int(sys.argv[1]))).serve()

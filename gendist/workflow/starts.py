"""Jobs of a run on this machine started by one process that has done their imports: see ``starter``."""

import atexit
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from gendist.workflow.starter import MESSAGE

PLAIN = "GENDIST_PLAIN_START"
"""Environment variable that, if set, has every job started as a new Python."""
PROGRAM = """
import sys
sys.path.extend({})
try:
    from gendist.workflow.starter import main
except ImportError:  # an older package is installed; scripts would find the same
    sys.exit()
main()
"""
LIBRARIES = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
KILLED = 128 + 9


class Starts:
    """Has Snakemake's scripts run by a ``Client``'s process.

    Jobs that need another environment than this process's are left to Snakemake: conda, containers, modules. So are
    those that may use a GPU: a library that looks for one while it is imported would spoil it for forked processes.
    """

    def __init__(self, workflow: Any, gpus: int) -> None:
        self.workflow, self.gpus = workflow, gpus
        self.lock = threading.Lock()
        self.client: Client | None = None

    @classmethod
    def attach(cls, workflow: Any, gpus: int) -> None:
        """Take part in this process's Snakemake, on Linux; a job's own Snakemake is left alone.

        Args:
            workflow: Snakemake's.
            gpus: how many this machine has.
        """
        able = sys.platform == "linux" and hasattr(os, "pidfd_open")
        if not able or not workflow.is_main_process or os.environ.get(PLAIN):
            return
        from snakemake.script import PythonScript

        starts, plain = cls(workflow, gpus), PythonScript.execute_script

        def execute_script(script: Any, fname: str, edit: bool = False) -> None:
            if not starts.run(script, fname):
                plain(script, fname, edit)

        PythonScript.execute_script = execute_script
        atexit.register(starts.close)

    @cached_property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return sum(1 for _ in self.workflow.dag.needrun_jobs())

    def run(self, script: Any, file: str) -> bool:
        """Run a job's script, or say that it must be started otherwise.

        Args:
            script: Snakemake's ``PythonScript``.
            file: the copy of the script to run.

        Raises:
            CalledProcessError: if it failed.
        """
        elsewhere = script.container_img or script.conda_env or script.env_modules or script.shadow_dir
        if elsewhere or (self.gpus and script.resources.get("gpu")):
            return False
        environment = environment_of(script)
        with self.lock:
            self.waiting -= 1
            more = self.waiting > 0
            if more and not self.client:  # one job alone gains nothing
                self.client = Client(environment, file)
            client = self.client
        # Libraries read the number of threads while they are loaded.
        if not client or client.threads != environment["OMP_NUM_THREADS"]:
            return False
        status = client.run(file, environment, more, partial(measured, script.bench_record))
        if status:
            # As Snakemake's own: its words are shown to the user.
            raise subprocess.CalledProcessError(status, f"set -euo pipefail; {sys.executable} {shlex.quote(file)}")
        return status is not None

    def close(self) -> None:
        """Let the process end."""
        if self.client:
            self.client.close()


class Client:
    """Starts a ``Starter`` and asks it for jobs.

    Args:
        environment: of the process.
        file: a script, so that people, and ``locks.running_here``, see in its command line what it belongs to.
    """

    def __init__(self, environment: dict[str, str], file: str) -> None:
        self.threads = environment["OMP_NUM_THREADS"]
        self.lock = threading.Lock()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Modules are looked for where Snakemake has a script look for them; -P: not in the working directory.
            program = PROGRAM.format([path for path in sys.path if path and Path(path).is_dir()])
            command = [sys.executable, "-P", "-c", program, str(theirs.fileno()), file]
            self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])

    def run(
        self,
        file: str,
        environment: dict[str, str],
        more: bool,
        during: Callable[[int], AbstractContextManager[object]] = nullcontext,
    ) -> int | None:
        """Run a script; return its exit status as a shell tells it, or None if it was not started.

        Args:
            file: the script.
            environment: all variables.
            more: whether others will follow, which may need what it imports on its way.
            during: entered with the process's id while it runs.
        """
        request = json.dumps({"script": file, "environment": environment, "more": more}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs, self.lock:
                try:
                    socket.send_fds(self.control, [request], [theirs.fileno()])
                except OSError:  # it has ended, or the environment is too large
                    return None
            if not (process := ours.recv(MESSAGE)):
                return None
            with during(int(process)):
                # The job holds the other end, too: if its starter was killed, it is waited for all the same.
                return int(ours.recv(MESSAGE) or KILLED)

    def close(self) -> None:
        """Let the process end, after its jobs."""
        self.control.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)


@contextmanager
def measured(record: Any, process: int) -> Iterator[None]:
    """Take a process's time and memory down in Snakemake's record for ``benchmark:``, if the rule has one.

    Of a process that has ended before it could be looked at, the time alone.
    """
    if record is None:
        yield
        return
    from snakemake.benchmark import benchmarked

    began = time.time()
    with ExitStack() as stack:
        with suppress(Exception):  # psutil's NoSuchProcess; a measurement must not fail the job
            stack.enter_context(benchmarked(process, record))
        yield
    record.running_time = time.time() - began


def environment_of(script: Any) -> dict[str, str]:
    """Return the environment that Snakemake's ``shell`` gives a job."""
    changed = {f"{name}_NUM_THREADS": str(script.threads) for name in LIBRARIES}
    changed["VECLIB_MAXIMUM_THREADS"] = str(script.threads)
    if folder := script.resources.get("tmpdir"):
        changed |= dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), folder)
    return {**os.environ, **changed}

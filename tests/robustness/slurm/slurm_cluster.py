"""A real Slurm of one node in a folder: munged, slurmctld and slurmd of our own, with fake GPUs, gone at the end.

Nothing outside the folder is written or read: not /etc/slurm, not the system's munge. Works for root in a container
and for an ordinary user.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
HOW = "install it with tests/robustness/slurm/install.sh, as root on Debian or Ubuntu, or ask for slurm-wlm and munge"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")
"""Device files that every machine has, and that nobody minds being taken for GPUs."""
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
"""Daemons lie where an ordinary user's shell does not look."""

CONF = """\
ClusterName=gendist
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdDebug=debug
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=1
KillWait=5
# Cores and memory are what is said below, whatever the machine has: the profile asks for a real study's memory.
SlurmdParameters=config_overrides
# Jobs start when they can, not at the next of the usual rounds.
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Say which programs are not there, and what to do; nothing if all are."""
    absent = [name for name in (*DAEMONS, *CLIENTS) if not shutil.which(name, path=PATH)]
    return f"no Slurm on this machine ({', '.join(absent)}): {HOW}" if absent else ""


class Cluster:
    """A running Slurm."""

    def __init__(self, folder: Path, gpus: int = 2, cpus: int = 4) -> None:
        self.folder, self.gpus, self.cpus = folder, gpus, cpus
        self.host = socket.gethostname().partition(".")[0]
        self.running: list[subprocess.Popen[bytes]] = []
        self.controller: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What commands and jobs need to find this Slurm."""
        path = os.pathsep.join([str(self.folder / "bin"), PATH])
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        self._configure()
        munged = ["munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket"]
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "log", "pid", "seed")]
        self._spawn(*munged, *files)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged's socket")
        self.start_controller()
        self._spawn("slurmd", "-D")
        self._wait(lambda: self.node() == "idle", "an idle node")

    def start_controller(self) -> None:
        """Start slurmctld, which recovers its state if it ran before."""
        self.controller = self._spawn("slurmctld", "-D")
        self._wait(lambda: "is UP" in self.ask("scontrol", "ping", check=False), "an answer of slurmctld")

    def restart_controller(self, pause: float = 10) -> None:
        """Kill slurmctld, as a crash would; start it again after so many seconds."""
        assert self.controller
        self.controller.kill()
        self.controller.wait()
        time.sleep(pause)
        self.start_controller()

    def _configure(self) -> None:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        ports = free_ports(2)
        values = {"host": self.host, "user": getpass.getuser(), "cpus": self.cpus, "gpus": self.gpus}
        values |= {"folder": self.folder, "ctld_port": ports[0], "slurmd_port": ports[1]}
        (self.folder / "slurm.conf").write_text(CONF.format(**values))
        (self.folder / "gres.conf").write_text(f"NodeName={self.host} Name=gpu File={','.join(DEVICES[: self.gpus])}\n")
        # The executor plugin takes all variables of Slurm from srun, SLURM_CONF included.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
        srun.chmod(0o755)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the daemons in order
            )
        self.running.append(process)
        return process

    def _wait(self, ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
        wait_for(ready, f"{what}; see {self.folder}/*.out and *.log", seconds)

    def ask(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands; returns what it printed."""
        done = subprocess.run(
            command, env=self.environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert not (check and done.returncode), f"{' '.join(command)}: {done.stdout}"
        return done.stdout.strip()

    def node(self) -> str:
        """State of the node."""
        return self.ask("sinfo", "-h", "-o", "%T", check=False)

    def queue(self, states: str = "all") -> list[list[str]]:
        """Jobs that the controller knows: id, state, comment (the rule and its wildcards), minutes allowed."""
        listed = self.ask("squeue", "-h", f"--states={states}", "-o", "%i|%T|%k|%l", check=False)
        return [line.split("|") for line in listed.splitlines() if line.count("|") == 3]

    def has_left_the_node(self, job: str) -> bool:
        """Whether the node has cleaned up after a job; before, it would refuse to start the job again."""
        return f"completed epilog for jobid {job}\n" in (self.folder / "slurmd.log").read_text()

    def stop(self) -> None:
        """Cancel all jobs, stop the daemons, and kill what is left of either."""
        if self.controller and self.controller.poll() is None:
            self.ask("scancel", "--user", getpass.getuser(), check=False)
            deadline = time.monotonic() + 15
            while self.queue("running,completing,suspended") and time.monotonic() < deadline:
                time.sleep(0.2)
        for process in reversed(self.running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
        self._kill_jobs()

    def _kill_jobs(self) -> None:
        """Kill processes of jobs that outlived the daemons; they are known by the folder in their environment."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                    process.kill()


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} seconds for {what}"
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def started(folder: Path, **sizes: int) -> Iterator[Cluster]:
    """Give a running cluster."""
    cluster = Cluster(folder, **sizes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()

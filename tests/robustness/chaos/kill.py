"""Kills a study at random moments, starts it again, and looks at what is left: nothing of our package is used here."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from study_bytes import differences, fingerprint

COMMAND = [sys.executable, "-m", "gendist"]
HANGS = 1200.0
"""Seconds after which a run counts as hanging."""
WAYS = {"everything": 0.7, "snakemake": 0.15, "job": 0.15}
"""What is killed, and how often: all processes at once (a power cut), Snakemake alone, one job alone (no memory)."""


class BrokenPromiseError(AssertionError):
    """A promise that did not hold."""


@dataclass
class Progress:
    """What the events of one run say."""

    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)

    @property
    def done(self) -> int:
        """Jobs that need not run any more."""
        return sum(not job["needed"] or number in self.ended for number, job in self.jobs.items())

    @property
    def running(self) -> list[dict[str, Any]]:
        """Jobs under way."""
        return [self.jobs[number] for number in sorted(self.started - self.ended) if number in self.jobs]


class Chaos:
    """A study in a folder with a checkout, run again and again."""

    def __init__(self, folder: Path, config: str, seed: int = 0, say: Callable[[str], None] = print) -> None:
        self.folder, self.random, self.say = folder, random.Random(seed), say
        self.temporary = folder.parent / f"{folder.name}-tmp"
        self.said = folder.parent / f"{folder.name}-said.log"
        self.command = [*COMMAND, "run", config, "--cores", "2", "--no-export"]
        self.ways: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()
        self.runs, self.share, self.pace = 0, 0.0, 1.0
        self.recorded: dict[str, tuple[int, int]] = {}
        self.reference: dict[str, str] = {}

    @property
    def kills(self) -> int:
        """Kills so far."""
        return sum(self.ways.values())

    # --- whole studies ---

    def undisturbed(self) -> None:
        """Run the study once without a kill: what it makes is what all others must make."""
        began = time.monotonic()
        self._study([])
        self.pace = (time.monotonic() - began) / len(self.recorded)
        self.reference = fingerprint(self.folder / "results")

    def survive(self, kills: int) -> None:
        """Run the study from nothing to its end, killed about ``kills`` times on the way.

        Raises:
            BrokenPromiseError: if something was lost, made twice, left over, or came out otherwise.
        """
        self._study(sorted(self.random.random() for _ in range(kills)))
        found = differences(self.reference, fingerprint(self.folder / "results"))
        if found:
            raise BrokenPromiseError(f"not the bytes of the undisturbed run: {found}")

    def _study(self, moments: list[float]) -> None:
        for stale in (self.folder / "results", self.folder / ".snakemake", self.temporary):
            shutil.rmtree(stale, ignore_errors=True)
        self.temporary.mkdir()
        self.recorded, self.share = {}, 0.0
        while status := self._run(moments):
            if status == "failed":
                raise BrokenPromiseError(f"a run that nobody disturbed failed:\n{self.said.read_text()}")
        self._require_nothing_left()

    # --- one run ---

    def _run(self, moments: list[float]) -> str:
        """Run until the end or a kill; return what it ended with: nothing, or ``killed`` or ``failed``."""
        self.runs += 1
        process = self._start()
        deadline = time.monotonic() + HANGS
        planned = disturbed = False
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise BrokenPromiseError(f"a run hangs:\n{self.said.read_text()}")
                progress = self._progress(process)
                if progress.jobs:
                    self.share = progress.done / len(progress.jobs)
                    if not planned:
                        self._require_nothing_made_twice(progress)
                    planned = True
                if moments and self.share >= moments[0]:
                    self._wait(process, self.random.uniform(0.0, 3 * self.pace))
                    if way := self._kill(process):
                        moments.pop(0)
                        disturbed = True
                        if way == "everything":
                            break
                time.sleep(0.05)
            if process.returncode is not None and process.returncode != -signal.SIGKILL and (left := self._family()):
                raise BrokenPromiseError(f"it ended, but not its jobs: {[member.cmdline() for member in left]}")
        finally:
            self._kill_everything(process)
        printed = self.said.read_text()
        if "Traceback" in printed:
            raise BrokenPromiseError(f"a traceback:\n{printed}")
        self._remember()
        if process.returncode == 0:
            return ""
        return "killed" if disturbed else "failed"

    def _start(self) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HF_HUB_OFFLINE")}
        offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "TMPDIR": str(self.temporary)}
        with self.said.open("wb") as said:
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=inherited | offline,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    def _progress(self, process: subprocess.Popen[bytes]) -> Progress:
        progress = Progress()
        for file in self.temporary.glob(f"gendist-*-{process.pid}-*/events.jsonl"):
            for line in file.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    self._take(progress, json.loads(line))
        return progress

    @staticmethod
    def _take(progress: Progress, event: dict[str, Any]) -> None:
        if event["event"] == "plan":
            progress.jobs = {job["id"]: job for job in event["jobs"] if job["output"]}
        elif event["event"] == "started":
            progress.started |= set(event["jobs"])
        elif event["event"] in ("finished", "failed"):
            progress.ended.add(event.get("job", -1))

    # --- killing ---

    def _kill(self, process: subprocess.Popen[bytes]) -> str:
        """Kill something; return what, or nothing if it had just ended."""
        if process.poll() is not None:
            return ""
        progress = self._progress(process)
        way = self.random.choices([*WAYS], [*WAYS.values()])[0]
        workflow, jobs = self._parts(process)
        if way == "job" and jobs:
            self.random.choice(jobs).kill()
        elif way == "snakemake" and workflow:
            workflow.kill()
        else:
            way = "everything"
            self._kill_everything(process)
        stages = sorted({job["stage"] for job in progress.running})
        if not stages:
            stages = ["between jobs"] if progress.jobs else ["start-up"]
        self.ways[way] += 1
        self.stages.update(stages)
        self.say(f"kill {self.kills}: {way} at {self.share:.0%} of the jobs, during {', '.join(stages)}")
        return way

    @staticmethod
    def _parts(process: subprocess.Popen[bytes]) -> tuple[psutil.Process | None, list[psutil.Process]]:
        workflow, jobs = None, []
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    words = child.cmdline()
                    if "snakemake" in words and child.ppid() == process.pid:
                        workflow = child
                    if words and "/.snakemake/scripts/" in words[-1] and "python" in Path(words[0]).name:
                        jobs.append(child)
        return workflow, jobs

    def _kill_everything(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the process groups of a run in any order, and wait until none of its processes is left."""
        family = self._family()
        groups = set()
        for member in family:
            with suppress(ProcessLookupError):
                groups.add(os.getpgid(member.pid))
        for group in self.random.sample(sorted(groups), len(groups)):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        process.wait()
        psutil.wait_procs(family, timeout=60)
        if left := self._family():
            raise BrokenPromiseError(f"still running: {[member.cmdline() for member in left]}")

    def _family(self) -> list[psutil.Process]:
        """Return the living processes that work in the study's folder, orphans included."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self.folder.resolve():
                    found.append(process)
        return found

    # --- what must hold ---

    def _remember(self) -> None:
        """Take note of what is recorded as complete, and see that what was so before is untouched."""
        incomplete = set(_names(self.folder / ".snakemake/incomplete"))
        now: dict[str, tuple[int, int]] = {}
        for name, file in _names(self.folder / ".snakemake/metadata").items():
            with suppress(ValueError, FileNotFoundError):
                json.loads(file.read_text())  # cut short if the kill came while it was written
                if name not in incomplete:
                    status = (self.folder / name).stat()
                    now[name] = (status.st_mtime_ns, status.st_ino)
        if lost := sorted(name for name in self.recorded if now.get(name) != self.recorded[name]):
            raise BrokenPromiseError(f"finished before, and now lost or made again: {lost}")
        self.recorded = now

    def _require_nothing_made_twice(self, progress: Progress) -> None:
        again = [
            job["output"]
            for job in progress.jobs.values()
            if job["needed"] and self.recorded.keys() >= {*job["output"]}
        ]
        if again:
            raise BrokenPromiseError(f"finished, and to be made again: {again}")

    def _require_nothing_left(self) -> None:
        records = self.folder / ".snakemake"
        left = [file for name in ("locks", "incomplete", "scripts", "shadow") for file in (records / name).rglob("*")]
        left += [file for file in (self.folder / "results").rglob("*") if file.name.startswith(".")]
        left += [file for file in (self.folder / "results").rglob("*") if file.suffix in (".part", ".tmp")]
        left += self.temporary.rglob("*")
        if left:
            raise BrokenPromiseError(f"left over: {sorted(map(str, left))}")


def _names(folder: Path) -> dict[str, Path]:
    """Return the files that Snakemake keeps records of in a folder, and the record of each."""
    found = {}
    for file in folder.rglob("*"):
        if file.is_file():
            coded = "".join(part.removeprefix("@") for part in file.relative_to(folder).parts)
            found[base64.urlsafe_b64decode(coded).decode()] = file
    return found

"""How long the whole study will still take, from Snakemake's own events."""

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from gendist.progress import clock

WEIGHTS = {
    "finetune_generator": 90.0,
    "finetune_teacher": 90.0,
    "generate_shard": 30.0,
    "generate_shards": 300.0,
    "score_texts": 15.0,
    "score_shard": 10.0,
    "score_shards": 100.0,
    "distil_student": 12.0,
    "distil_seeds": 40.0,
}
"""Typical seconds of a job on a laptop; only their proportions matter, and only until a rule's first job has ended."""
OTHERS = 4.0


class Estimate:
    """What jobs of each rule have taken, and what those ahead will take."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.left: dict[str, int] = {}
        self.rules: dict[int, str] = {}
        self.started: dict[int, float] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def start(self, jobs: Iterable[int]) -> None:
        """Take note of jobs that begin."""
        self.started.update(dict.fromkeys(jobs, time.monotonic()))

    def finish(self, job: int) -> None:
        """Take note of a job that has ended well."""
        rule = self.rules.get(job, "")
        if job in self.started and rule in self.left:
            self.seconds[rule].append(time.monotonic() - self.started.pop(job))
            self.left[rule] -= 1

    def rest(self) -> float:
        """Estimate the seconds that the remaining jobs will take, side by side as so far."""
        spent = sum(map(sum, self.seconds.values()))
        typical = sum(WEIGHTS.get(rule, OTHERS) * len(times) for rule, times in self.seconds.items())
        pace = spent / typical if typical else 1.0
        ahead = sum(count * self._expected(rule, pace) for rule, count in self.left.items())
        now = time.monotonic()
        running = [(now - start, self._expected(self.rules.get(job, ""), pace)) for job, start in self.started.items()]
        under_way = sum(elapsed for elapsed, _ in running)
        side_by_side = max(1.0, (spent + under_way) / max(now - self.began, 1e-3))
        return max(0.0, ahead - sum(min(pair) for pair in running)) / side_by_side

    def _expected(self, rule: str, pace: float) -> float:
        times = self.seconds.get(rule)
        return sum(times) / len(times) if times else WEIGHTS.get(rule, OTHERS) * pace


class StudyClock(logging.Handler):
    """Prints a line with steps done, time so far and the estimated rest, at most every ``every`` seconds."""

    def __init__(self, every: float = 5.0) -> None:
        super().__init__()
        self.every = every
        self.estimate = Estimate()
        self.printed = self.estimate.began

    @classmethod
    def attach(cls) -> None:
        """Listen to this process's Snakemake; a second call changes nothing."""
        logger = logging.getLogger("snakemake.logging")
        if not any(isinstance(handler, cls) for handler in logger.handlers):
            logger.addHandler(cls())

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of an event; ignore all other records."""
        event = getattr(getattr(record, "event", None), "name", None)
        fields: dict[str, Any] = record.__dict__
        if event == "RUN_INFO":
            self.estimate.left = {rule: int(n) for rule, n in fields["stats"].items() if rule != "total"}
        elif event == "JOB_INFO":
            self.estimate.rules[fields["jobid"]] = fields["rule_name"]
        elif event == "JOB_STARTED":
            self.estimate.start(fields["jobs"])
        elif event == "JOB_FINISHED":
            self.estimate.finish(fields["job_id"])
        elif event == "PROGRESS" and time.monotonic() - self.printed >= self.every and fields["done"] < fields["total"]:
            self.printed = time.monotonic()
            so_far, rest = clock(self.printed - self.estimate.began), clock(self.estimate.rest())
            line = f"[study] {fields['done']} of {fields['total']} steps, {so_far} so far, about {rest} left"
            print(line, file=sys.stderr, flush=True)

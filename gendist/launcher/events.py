"""Events of a Snakemake run, as JSON lines in a file that ``gendist run`` reads.

The workflow attaches the handler if the environment variable ``EVENTS_VARIABLE`` names a file. Events are stable,
unlike Snakemake's output, which changes between versions. The first event is the plan: every job, with the reasons to
run it.
"""

import ast
import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gendist.jobs.source_files import CODE

EVENTS_VARIABLE = "GENDIST_EVENTS"
"""Environment variable with the path of the events file."""
NOTHING_TO_DO = "Nothing to be done"
"""Start of Snakemake's message if all outputs are up to date."""
FOLLOWS = "follows from the jobs before it"
"""Reason of a job whose inputs other jobs of the run update."""
MISSING = object()
"""Placeholder for a setting that does not exist."""


JobSeconds = Callable[[str, Mapping[str, str]], float]
"""Returns the typical seconds of a job, from the name of its rule and its wildcards."""


class JobEventHandler(logging.Handler, ABC):
    """Log handler that converts Snakemake's log records to job events."""

    def __init__(self, workflow: Any, seconds: JobSeconds, gpus: int = 0) -> None:
        super().__init__()
        self.workflow, self.seconds, self.gpus = workflow, seconds, gpus
        self.planned = False

    @abstractmethod
    def handle_event(self, event: dict[str, Any]) -> None:
        """Handle an event: ``plan``, ``started``, ``finished`` or ``failed``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Convert a record; an error in a handler does not end the run."""
        try:
            self._convert(record)
        except Exception:
            self.handleError(record)

    def _convert(self, record: logging.LogRecord) -> None:
        event = getattr(getattr(record, "event", None), "name", None)
        fields: dict[str, Any] = record.__dict__
        if event == "RUN_INFO" or str(record.msg).startswith(NOTHING_TO_DO):
            if not self.planned:  # a dry run logs it twice
                self.planned = True
                jobs = [_job(self.workflow, job, self.seconds) for job in self.workflow.dag.jobs]
                self.handle_event(
                    {"event": "plan", "cores": _max_parallel_jobs(self.workflow), "gpus": self.gpus, "jobs": jobs}
                )
        elif event == "JOB_STARTED":
            self.handle_event({"event": "started", "jobs": list(fields["jobs"])})
        elif event == "GROUP_INFO":  # a group of jobs starts without JOB_STARTED
            self.handle_event({"event": "started", "jobs": [self.workflow.dag.jobid(job) for job in fields["jobs"]]})
        elif event == "JOB_FINISHED":
            self.handle_event({"event": "finished", "job": fields["job_id"]})
        elif event == "JOB_ERROR":
            self.handle_event({"event": "failed", "job": fields["jobid"]})


class EventFileHandler(JobEventHandler):
    """Appends each event to the events file."""

    path: Path

    @classmethod
    def attach(cls, workflow: Any, seconds: JobSeconds, gpus: int) -> None:
        """Attach to the Snakemake of this process, if it is the main one and the environment names an events file."""
        path = os.environ.get(EVENTS_VARIABLE)
        if path and workflow.is_main_process:
            handler = cls(workflow, seconds, gpus)
            handler.path = Path(path)
            logging.getLogger("snakemake.logging").addHandler(handler)

    def handle_event(self, event: dict[str, Any]) -> None:
        """Write an event."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")


def _max_parallel_jobs(workflow: Any) -> int:
    """Return the maximum number of parallel jobs; on a cluster, of submitted jobs."""
    settings = workflow.resource_settings
    return int(settings.nodes or settings.cores or 1)


def _job(workflow: Any, job: Any, seconds: JobSeconds) -> dict[str, Any]:
    needed = workflow.dag.needrun(job)
    return {
        "id": workflow.dag.jobid(job),
        "rule": job.rule.name,
        "stage": Path(job.rule.snakefile).stem,
        "output": [str(file) for file in job.output],
        "log": [str(file) for file in job.log],
        "needed": needed,
        "needs": [workflow.dag.jobid(other) for other in workflow.dag.dependencies[job]] if needed else [],
        "seconds": seconds(job.rule.name, dict(job.wildcards_dict)) if needed else 0.0,
        "priority": job.priority if needed else 0,  # Snakemake keeps the priority of these jobs only
        "gpu": "gpu" in job.rule.resources,
        "reasons": list(_reasons(workflow, job)) if needed else [],
    }


def _reasons(workflow: Any, job: Any) -> Iterator[str]:
    """Yield the reasons to run a job, the strongest first."""
    reason, records = workflow.dag.reason(job), workflow.persistence
    asked = workflow.dag_settings.forceall or workflow.dag_settings.forcetargets or workflow.dag_settings.forcerun
    interrupted = reason.incomplete_output or (reason.forced and not asked)  # --rerun-incomplete forces these
    if reason.forced and asked:
        yield "requested on the command line"
    new = reason.missing_output and not any(records.metadata(file) is not None for file in reason.missing_output)
    if new and not interrupted:
        # Snakemake may list changed inputs as well: no further reason for a job that never ran.
        yield "not made yet"
        return
    if reason.params_changed:
        yield from _param_reasons(reason.params_changed, job.params)
    yield from _input_reasons(reason.updated_input - reason.updated_input_run, "changed")
    if reason.input_changed:
        yield from _set_reasons(workflow, set(records.input(job.output[0]) or ()), set(map(str, job.input)))
    if interrupted:
        yield "was interrupted while it was written"
    if reason.missing_output:
        yield "not made yet" if new else "output is missing"
    if reason.software_stack_changed:
        yield "software environment changed"
    if reason.updated_input_run and not reason.missing_output:
        yield FOLLOWS


def _param_reasons(change: Any, params: Any) -> Iterator[str]:
    """Distinguish changed code, whose version is a parameter, from changed settings."""
    versions = [text for text in change.only_new if _is_version(text)]
    for text in versions:
        yield f"code changed: {_value(text).removeprefix(CODE).split()[0]}"
    old, new = ({text for text in side if not _is_version(text)} for side in (change.only_old, change.only_new))
    if old or new or not versions:
        yield f"settings changed: {', '.join(setting_changes(old, new, params))}"


def _is_version(text: str) -> bool:
    value = _value(text)
    return isinstance(value, str) and value.startswith(CODE)


def _set_reasons(workflow: Any, before: set[str], now: set[str]) -> Iterator[str]:
    """Compare the names of a job's previous and current inputs; a moved checkout counts as one reason."""
    new, gone = now - before, before - now
    inside = {os.path.relpath(file, workflow.basedir): file for file in new}
    moved = {file: name for file in gone for name in inside if f"/{file}".endswith(f"/{name}")}
    if moved:
        yield "the checkout of gendist was moved"
    yield from _input_reasons(new - {inside[name] for name in moved.values()}, "new")
    yield from _input_reasons(gone - moved.keys(), "no longer read")


def _input_reasons(files: Iterable[Any], what: str) -> Iterator[str]:
    if names := sorted(os.path.relpath(str(file)) for file in files):
        yield f"input {what}: {_listed(names)}"


def _listed(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def setting_changes(old: Iterable[str], new: Iterable[str], params: Any) -> list[str]:
    """Return which settings of a job's params differ from those of its last run.

    Args:
        old: params of the last run only, each as its ``repr``.
        new: params of this run only, each as its ``repr``.
        params: the job's current params by name.
    """
    name_of = {repr(value): name for name, value in params.items()}
    now = [(name_of.get(text, ""), _value(text)) for text in sorted(new)]
    before = [_value(text) for text in sorted(old)]
    changes: list[str] = []
    for name, value in now:
        last = max(before, key=lambda other: _similarity(value, other), default=None)
        if last is not None:
            before.remove(last)
        changes += _differences(name, last, value)
    return changes or ["one was removed"]


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _similarity(one: Any, other: Any) -> tuple[bool, float]:
    """Rate how likely two values belong to the same param: Snakemake records values without names."""
    if isinstance(one, dict) and isinstance(other, dict):
        shared = sum(key in other for key in one)
        same = sum(key in other and other[key] == value for key, value in one.items())
        return True, shared + same / 1000 - len(other) / 2
    return type(one) is type(other), 0.0


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [f"{name or 'a value'} {_shorten(old)} → {_shorten(new)}"]
    changes = []
    for key in [*new, *(key for key in old if key not in new)]:
        if key not in old or key not in new or old[key] != new[key]:
            path = f"{name}.{key}" if name else str(key)
            if key in old and key in new and isinstance(old[key], dict):
                changes += _differences(path, old[key], new[key])
            else:
                changes.append(f"{path} {_shorten(old.get(key, MISSING))} → {_shorten(new.get(key, MISSING))}")
    return changes


def _shorten(value: Any, limit: int = 40) -> str:
    text = "(none)" if value is MISSING else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"

"""Size and latency of one trained system on one CPU thread."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gendist.io.files import write_json
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.texts.tables import read_texts

MAX_TEXTS = 200
"""Test texts that are labelled one by one; as many are labelled at once."""
WARM_UP_TEXTS = 5
MEASURE_SECONDS = 1.5
"""CPU time for each of the two measurements; it ends with the round that passes it."""
MAX_ROUNDS = 20


def measure_costs(predictor: Predictor, test: Path, target: Path, dataset: str, kind: str, name: str) -> None:
    """Write one system's size and latency as JSON.

    Times are CPU times of the process, which runs on one thread: on an idle machine they are
    those of the clock, and other work on the machine inflates them far less. Each text's latency is
    its least over several rounds; of those the median and the 95th percentile are kept.

    Args:
        predictor: the loaded system.
        test: texts file; its labels are not read.
        target: JSON to write.
        dataset: name of the dataset.
        kind: what the system is: ``students``, ``teachers``, ``baselines`` or ``export``.
        name: its name among these.
    """
    texts = read_texts(test).texts[:MAX_TEXTS]
    with single_thread():
        latencies = _latencies(predictor, texts)
        rate = _rows_per_second(predictor, texts)
    p50, p95 = np.percentile(latencies, [50, 95]) * 1000
    record = {
        "dataset": dataset,
        "kind": kind,
        "name": name,
        "size_bytes": sum(file.stat().st_size for file in predictor.files),
        "latency_p50_ms": float(p50),
        "latency_p95_ms": float(p95),
        "rows_per_second": rate,
        "texts": len(texts),
        "runtime": predictor.runtime,
        "device": _cpu_name(),
        "threads": 1,
    }
    write_json(target, record)


def _cpu_name() -> str:
    """Name the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep the tokenizers to one thread; whoever loads a network does so for torch, and Snakemake for BLAS."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        del os.environ["TOKENIZERS_PARALLELISM"]
        if before is not None:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def _latencies(predictor: Predictor, texts: Sequence[str]) -> np.ndarray:
    """Return each text's least time, (texts,) in seconds."""
    for text in texts[:WARM_UP_TEXTS]:
        predictor.predict([text])
    least = np.full(len(texts), np.inf)
    for _ in _rounds():
        for i, text in enumerate(texts):
            began = time.process_time()
            predictor.predict([text])
            least[i] = min(least[i], time.process_time() - began)
    return least


def _rows_per_second(predictor: Predictor, texts: Sequence[str]) -> float:
    """Return the best rate of labelling all texts in one call."""
    least = np.inf
    for _ in _rounds():
        began = time.process_time()
        predictor.predict(texts)
        least = min(least, time.process_time() - began)
    return float(len(texts) / least)


def _rounds() -> Iterator[int]:
    began = time.process_time()
    for i in range(MAX_ROUNDS):
        yield i
        if time.process_time() - began > MEASURE_SECONDS:
            return

"""Measure size and latency of one trained system on one CPU thread."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gendist.io.json_files import write_json
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.texts.text_tables import read_texts

MAX_TEXTS = 200
"""Test texts labelled one by one, and then in one batch."""
WARM_UP_TEXTS = 5
MEASURE_SECONDS = 1.5
"""CPU time per measurement; the current round is completed."""
MAX_ROUNDS = 20


def measure_costs(predictor: Predictor, test: Path, *, target: Path, dataset: str, kind: str, name: str) -> None:
    """Write the size and latency of a system as JSON.

    Times are CPU times of this single-threaded process: equal to wall-clock time on an idle machine, and less
    sensitive to other load. The latency of a text is its minimum over several rounds; p50 and p95 are over texts.

    Args:
        predictor: the loaded system.
        test: texts file; labels are ignored.
        target: JSON to write.
        dataset: name of the dataset.
        kind: ``students``, ``teachers``, ``baselines`` or ``export``.
        name: name of the system within its kind.
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
    """Return the name of the CPU, if available."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit tokenizers to one thread. The model loaders limit torch, Snakemake limits BLAS."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        del os.environ["TOKENIZERS_PARALLELISM"]
        if before is not None:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def _latencies(predictor: Predictor, texts: Sequence[str]) -> np.ndarray:
    """Return the minimum time of each text, (texts,) in seconds."""
    for text in texts[:WARM_UP_TEXTS]:
        predictor.predict([text])
    fastest = np.full(len(texts), np.inf)
    for _ in _rounds():
        for i, text in enumerate(texts):
            start = time.process_time()
            predictor.predict([text])
            fastest[i] = min(fastest[i], time.process_time() - start)
    return fastest


def _rows_per_second(predictor: Predictor, texts: Sequence[str]) -> float:
    """Return the highest throughput of labelling all texts in one call."""
    fastest = np.inf
    for _ in _rounds():
        start = time.process_time()
        predictor.predict(texts)
        fastest = min(fastest, time.process_time() - start)
    return float(len(texts) / fastest)


def _rounds() -> Iterator[int]:
    start = time.process_time()
    for i in range(MAX_ROUNDS):
        yield i
        if time.process_time() - start > MEASURE_SECONDS:
            return

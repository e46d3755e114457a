"""The exported model of a dataset: accuracy, size and latency."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gendist.analysis.report_page.report_inputs import ReportInputs
from gendist.errors import GendistError
from gendist.io.json_files import read_json
from gendist.naming import TEACHER
from gendist.predict.exported_model import INT8, LOOKUP_WEIGHTS, TOKENIZER, required_extras
from gendist.stages.export.classifier_page.page_mark import is_classifier_page


@dataclass(frozen=True)
class DeployedModel:
    """The exported model of a dataset."""

    folder: str
    extras: str
    """Extras of gendist that load it, separated by commas."""
    system: str
    accuracy: float
    """Accuracy of the int8 weights on the test rows, in percent."""
    weight_bytes: int
    tokenizer_bytes: int
    latency_ms: float
    """Median latency of one text on one core."""
    device: str
    page: str | None
    """URL of the classifier's page, relative to the results folder; None without one."""

    def facts(self, measured: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
        """Return key figures as (name, value, remark).

        Args:
            measured: costs of the dataset's systems, for comparison with the teacher.
        """
        teacher = next((row for row in measured if row["system"] == TEACHER), None)
        size = f"{self.system} as deployed: 8-bit weights, and {format_size(self.tokenizer_bytes)} of tokenizer"
        time = f"{self.system} as deployed: median for one text on one core ({self.device})"
        if teacher is not None:
            size += f"; the teacher has {format_size(teacher['size_bytes'])}"
            time += f"; the teacher takes {format_latency(teacher['latency_p50_ms'])}"
        return [
            ("Size", format_size(self.weight_bytes), size),
            ("Time for a text", format_latency(self.latency_ms), time),
        ]


def read_deployed(sources: ReportInputs, dataset: str) -> DeployedModel | None:
    """Read the description and the costs of an exported model; None without an export.

    Raises:
        GendistError: if one of the two files is missing or damaged.
    """
    if dataset not in sources.exports:
        return None
    path = sources.exports[dataset]
    description, measured = read_json(path), read_json(sources.deployed[dataset])
    try:
        sizes = description["bytes"]
        return DeployedModel(
            folder=Path(path).parent.as_posix(),
            extras=required_extras(sizes),
            system=description["chosen"]["system"],
            accuracy=100 * description["test"]["int8"]["accuracy"],
            weight_bytes=sizes[LOOKUP_WEIGHTS if LOOKUP_WEIGHTS in sizes else INT8],
            tokenizer_bytes=sizes[TOKENIZER],
            latency_ms=measured["latency_p50_ms"],
            device=measured["device"],
            page=_page_url(sources, dataset),
        )
    except (KeyError, TypeError) as error:
        raise GendistError(f"{path}: damaged ({error!r}); delete its folder and rerun") from None


def _page_url(sources: ReportInputs, dataset: str) -> str | None:
    page = sources.pages.get(dataset)
    if page is None or not is_classifier_page(page):
        return None
    return quote(Path(os.path.relpath(page, sources.results)).as_posix())


def format_size(size: float) -> str:
    """Format bytes as MB or kB."""
    return f"{size / 1e6:.1f}\u00a0MB" if size >= 1e5 else f"{size / 1e3:.0f}\u00a0kB"


def format_latency(milliseconds: float) -> str:
    """Format a duration as ms or µs."""
    if milliseconds < 1:
        return f"{milliseconds * 1000:.0f}\u00a0µs"
    return f"{milliseconds:.1f}\u00a0ms" if milliseconds < 100 else f"{milliseconds:,.0f}\u00a0ms"

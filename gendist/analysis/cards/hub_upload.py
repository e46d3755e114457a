"""Publish a model or its synthetic rows: upload to the hub, or copy to a folder."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from gendist.analysis.cards.write_cards import NO_LICENCE, ROWS_FILE
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.atomic_files import atomic_write
from gendist.naming import EXPORTED_MODEL
from gendist.predict.exported_model import DESCRIPTION

Kind = Literal["model", "dataset"]
CARD = "README.md"


@dataclass(frozen=True)
class Upload:
    """Files to publish."""

    kind: Kind
    files: Mapping[str, Path]
    """Local paths by the name in the repository."""

    @property
    def size(self) -> int:
        """Total bytes."""
        return sum(path.stat().st_size for path in self.files.values())

    @property
    def licence(self) -> str:
        """License in the front matter of the card."""
        front = self.files[CARD].read_text(encoding="utf-8").split("---\n")
        return str(yaml.safe_load(front[1]).get("license", NO_LICENCE)) if len(front) > 2 else NO_LICENCE


def collect_upload(study: Study, dataset: str | None, kind: Kind) -> Upload:
    """Collect the exported model or the synthetic rows of a dataset, with the card.

    Raises:
        GendistError: if the dataset is unknown, or the export or the card is missing.
    """
    if dataset is None and len(study.datasets) > 1:
        raise GendistError(f"the study has several datasets ({', '.join(study.datasets)}); choose one with --dataset")
    name = dataset or next(iter(study.datasets))
    if name not in study.datasets:
        raise GendistError(f"dataset '{name}' is not in the study; it has {', '.join(study.datasets)}")
    results = Path(study.results) / name
    if kind == "model":
        folder = results / EXPORTED_MODEL
        if not (folder / DESCRIPTION).is_file():
            raise GendistError(f"{folder}: no exported model; run gendist export first")
        files = _visible_files(folder)
    else:
        files = {ROWS_FILE: results / "cards/dataset" / ROWS_FILE}
    files[CARD] = results / "cards" / kind / CARD
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        raise GendistError(f"{missing[0]}: no such file; run gendist card first")
    if kind == "model" and files[CARD].stat().st_mtime < (folder / DESCRIPTION).stat().st_mtime:
        raise GendistError(f"{files[CARD]}: older than the exported model; run gendist card again")
    return Upload(kind, dict(sorted(files.items())))


def target_folder(to: str) -> Path | None:
    """Parse ``--to``: return a folder, or None for a repository on the hub.

    A folder exists, or starts with ``/``, ``.`` or ``~``.

    Raises:
        GendistError: if ``to`` is neither.
    """
    path = Path(to).expanduser()
    if to.startswith(("/", ".", "~")) or path.is_dir():
        return path
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", to):
        raise GendistError(f"--to {to}: neither OWNER/NAME on the hub nor a folder (write ./{to} for a new one)")
    return None


def copy_files(upload: Upload, folder: Path) -> None:
    """Copy the files into a folder, each atomically; keep other files there."""
    for name, path in upload.files.items():
        with atomic_write(folder / name) as part:
            shutil.copyfile(path, part)


def upload_files(upload: Upload, repository: str, public: bool = False, api: Any = None) -> str:
    """Upload the files to the hub in one commit.

    Args:
        upload: the files.
        repository: ``OWNER/NAME``; created if missing.
        public: make a new repository public; else private.
        api: an ``HfApi``; None uses the stored login.

    Returns:
        URL of the commit.

    Raises:
        GendistError: if the repository is public without ``public``, or the hub rejects the upload.
    """
    from huggingface_hub import HfApi

    api = api or HfApi()
    try:
        api.create_repo(repository, repo_type=upload.kind, private=not public, exist_ok=True)
        if not public and not api.repo_info(repository, repo_type=upload.kind).private:
            raise GendistError(f"{repository} is public; add --public to publish the {upload.kind} there")
        with tempfile.TemporaryDirectory() as staging:
            copy_files(upload, Path(staging))
            commit = api.upload_folder(
                folder_path=staging,
                repo_id=repository,
                repo_type=upload.kind,
                commit_message=f"Add the {upload.kind} and its card",
            )
    except GendistError:
        raise
    except Exception as error:  # rejected, not logged in, or a network error
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise GendistError(f"{repository}: the upload failed ({reason})") from None
    return str(getattr(commit, "commit_url", commit))


def list_files(upload: Upload) -> list[str]:
    """Return a line per file with its size, and one with the total."""
    width = max(map(len, upload.files))
    lines = [f"  {name:<{width}}  {_format_bytes(path.stat().st_size):>9}" for name, path in upload.files.items()]
    return [*lines, f"  {len(upload.files)} files, {_format_bytes(upload.size)}"]


def _visible_files(folder: Path) -> dict[str, Path]:
    found = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.relative_to(folder).as_posix(): file for file in found}


def _format_bytes(size: int) -> str:
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"

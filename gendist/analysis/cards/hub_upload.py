"""Hand a model or its synthetic rows on: to the hub or to a folder, after showing what would go."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from gendist.analysis.cards.card_subject import DESCRIPTION, EXPORT_FOLDER
from gendist.analysis.cards.write_cards import NO_LICENCE, ROWS_FILE
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.files import whole_file

Kind = Literal["model", "dataset"]
CARD = "README.md"


@dataclass(frozen=True)
class Upload:
    """What is handed on."""

    kind: Kind
    files: Mapping[str, Path]
    """By the name under which it arrives."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())

    @property
    def licence(self) -> str:
        """The licence in the card's front matter."""
        front = self.files[CARD].read_text(encoding="utf-8").split("---\n")
        return str(yaml.safe_load(front[1]).get("license", NO_LICENCE)) if len(front) > 2 else NO_LICENCE


def collect_upload(study: Study, dataset: str | None, kind: Kind) -> Upload:
    """Gather the exported model or the synthetic rows of a dataset, with their card.

    Raises:
        GendistError: if the study has no such dataset, or export or card are missing.
    """
    if dataset is None and len(study.datasets) > 1:
        raise GendistError(f"the study has several datasets ({', '.join(study.datasets)}): name one with --dataset")
    name = dataset or next(iter(study.datasets))
    if name not in study.datasets:
        raise GendistError(f"dataset '{name}' is not in the study; it has {', '.join(study.datasets)}")
    results = Path(study.results) / name
    if kind == "model":
        folder = results / EXPORT_FOLDER
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
    """Return the folder that ``to`` means, or None if it is a repository on the hub.

    A folder exists, or begins with ``/``, ``.`` or ``~``.

    Raises:
        GendistError: if it is neither.
    """
    path = Path(to).expanduser()
    if to.startswith(("/", ".", "~")) or path.is_dir():
        return path
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", to):
        raise GendistError(f"--to {to}: neither OWNER/NAME on the hub nor a folder (write ./{to} for a new one)")
    return None


def copy_files(parcel: Upload, folder: Path) -> None:
    """Copy a parcel into a folder, each file whole or not at all; other files there stay."""
    for name, path in parcel.files.items():
        with whole_file(folder / name) as part:
            shutil.copyfile(path, part)


def upload_files(parcel: Upload, repository: str, public: bool = False, api: Any = None) -> str:
    """Upload a parcel to the hub as one commit.

    Args:
        parcel: what to upload.
        repository: ``OWNER/NAME``; it is made if missing.
        public: make it public; private otherwise.
        api: an ``HfApi``; None logs in as the hub's own tools do.

    Returns:
        The address of the commit.

    Raises:
        GendistError: if the repository is public and ``public`` is not said, or the hub refuses.
    """
    from huggingface_hub import HfApi

    api = api or HfApi()
    try:
        api.create_repo(repository, repo_type=parcel.kind, private=not public, exist_ok=True)
        if not public and not api.repo_info(repository, repo_type=parcel.kind).private:
            raise GendistError(f"{repository} is public already; add --public if the {parcel.kind} may be")
        with tempfile.TemporaryDirectory() as stage:
            copy_files(parcel, Path(stage))
            done = api.upload_folder(
                folder_path=stage,
                repo_id=repository,
                repo_type=parcel.kind,
                commit_message=f"Add the {parcel.kind} and its card",
            )
    except GendistError:
        raise
    except Exception as error:  # refusals, missing tokens, and whatever a network may raise
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise GendistError(f"{repository}: the hub did not take it ({reason})") from None
    return str(getattr(done, "commit_url", done))


def list_files(parcel: Upload) -> list[str]:
    """Return a line per file with its size, and one for all of them."""
    width = max(map(len, parcel.files))
    lines = [f"  {name:<{width}}  {_format_bytes(path.stat().st_size):>9}" for name, path in parcel.files.items()]
    return [*lines, f"  {len(parcel.files)} files, {_format_bytes(parcel.size)}"]


def _visible_files(folder: Path) -> dict[str, Path]:
    found = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.relative_to(folder).as_posix(): file for file in found}


def _format_bytes(size: int) -> str:
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"

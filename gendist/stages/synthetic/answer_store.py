"""Answers of a server, each saved on arrival, so that a rerun after a kill does not request (or pay for) them again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gendist.errors import GendistError
from gendist.io.os_errors import explain_os_error
from gendist.stages.synthetic.chat_answers import Answer

FOLDER = "answers"
"""Folder of the answers, beside the shards."""


class AnswerStore:
    """Answers by the request that they belong to, in JSONL files of a pool."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load the answers of all files.

        Args:
            folder: folder of the files.
            name: file to which this job appends; no other job does at the same time.
        """
        self._file = folder / f"{name}.jsonl"
        self._answers: dict[str, Answer] = {}
        for file in sorted(folder.glob("*.jsonl")):
            self._load(file)

    def get(self, request: str) -> Answer | None:
        """Return the answer to a request with this hash, or None."""
        return self._answers.get(request)

    def add(self, request: str, answer: Answer) -> None:
        """Append an answer to the file.

        Raises:
            GendistError: if the file system rejects the write.
        """
        self._answers[request] = answer
        line = json.dumps({"request": request, **asdict(answer)}, ensure_ascii=True)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as stream:
                # Before the line, too: a kill may have cut the last one.
                stream.write(f"{line}\n" if stream.tell() == 0 or self._ends_a_line() else f"\n{line}\n")
        except OSError as error:
            if explained := explain_os_error(self._file, error):
                raise explained from None
            raise

    def _ends_a_line(self) -> bool:
        with self._file.open("rb") as stream:
            stream.seek(-1, 2)
            return stream.read() == b"\n"

    def _load(self, file: Path) -> None:
        """Load a file; skip truncated and damaged lines, whose rows are requested again."""
        try:
            content = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise GendistError(f"{file}: cannot be read ({error.strerror}); delete it and rerun") from None
        for line in content.split("\n"):
            try:
                record: dict[str, Any] = json.loads(line)
                request = record.pop("request")
                answer = Answer(**record)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            if isinstance(answer.number, int) and isinstance(answer.text, str) and isinstance(answer.reason, str):
                self._answers[str(request)] = answer


def hash_request(url: str, body: Mapping[str, Any]) -> str:
    """Return a hash of the server's address and a request's body; the key is in neither."""
    content = json.dumps({"url": url, "body": body}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()

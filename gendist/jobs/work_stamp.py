"""What a result depends on, as one record: pieces of it are of use only as long as nothing in there changed."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gendist.io.provenance import Provenance, hash_file
from gendist.jobs.source_files import PACKAGE, source_files

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
"""Libraries whose versions may change what is computed."""


def make_stamp(provenance: Provenance, module: str, **further: Any) -> dict[str, Any]:
    """Return the record of a result.

    Args:
        provenance: what the result will say of its inputs, settings, seed and models.
        module: ``__file__`` of the module that computes it; what it imports counts as well.
        further: what else the computation depends on, such as the number of threads.
    """
    code = {
        file.relative_to(PACKAGE.parent).as_posix(): hash_file(file) for file in source_files(Path(module).resolve())
    }
    record = {
        **provenance.to_record(),
        "code": code,
        "packages": {name: version(name) for name in PACKAGES},
        "further": further,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def describe_differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Say in a few words in what two stamps differ: which settings, inputs, files of code, packages."""
    return "; ".join(_differences(before, now))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for part in sorted(before.keys() | now.keys()):
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        if not (isinstance(old, dict) and isinstance(new, dict)):
            yield f"{part} {old} is now {new}"
            continue
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        if part in ("code", "inputs"):  # hashes tell nobody anything
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            yield f"{part} changed: {', '.join(names[:3])}{more}"
        else:
            yield ", ".join(f"{name} {old.get(name)} is now {new.get(name)}" for name in names)

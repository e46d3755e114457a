"""Stamp of a work folder: everything the result depends on. Saved work is reused only if the stamp is equal."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gendist.io.provenance import Provenance, hash_file
from gendist.jobs.source_files import PACKAGE, source_files

PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
"""Libraries whose version can change the result."""


def make_stamp(provenance: Provenance, module: str, **extra: Any) -> dict[str, Any]:
    """Return the stamp of a result.

    Args:
        provenance: the result's provenance: inputs, settings, seed and models.
        module: ``__file__`` of the module that computes it; the code that it imports is included.
        extra: further dependencies, such as the number of threads.
    """
    code = {
        file.relative_to(PACKAGE.parent).as_posix(): hash_file(file) for file in source_files(Path(module).resolve())
    }
    record = {
        **provenance.to_record(),
        "code": code,
        "packages": {name: version(name) for name in PACKAGES},
        "extra": extra,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def describe_differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Describe in one line how two stamps differ: settings, inputs, code files, packages."""
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
        if part in ("code", "inputs"):  # names only: their values are hashes
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            yield f"{part} changed: {', '.join(names[:3])}{more}"
        else:
            yield ", ".join(f"{name} {old.get(name)} is now {new.get(name)}" for name in names)

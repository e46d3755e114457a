"""Source files of a workflow script, and a version of their contents, so that editing one of them reruns its rules.

Snakemake tracks the script only, not its imports. The version is therefore a parameter of each rule.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from gendist.io.provenance import hash_file

PACKAGE = Path(__file__).resolve().parents[1]
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of AST nodes that contain statements."""
CODE = "code of "
"""Prefix of a code version, by which it is recognised among the params of a job."""

_hash_file = cache(hash_file)  # the scripts share most of their files


def source_files(script: Path) -> list[Path]:
    """Return a script and the files of this package that it imports, directly or indirectly, sorted.

    Import statements are parsed, not executed.
    """
    found: set[Path] = set()
    pending = [Path(script)]
    while pending:
        file = pending.pop()
        if file not in found:
            found.add(file)
            pending += _imports(file)
    return sorted(found)


def code_version(script: Path) -> str:
    """Return the version of a script's code: its name, and a hash over the contents of its ``source_files``.

    Neither the files' times nor the folder of the checkout are part of it.
    """
    hashed = hashlib.sha256()
    for file in source_files(script):
        name = file.relative_to(PACKAGE.parent) if file.is_relative_to(PACKAGE) else Path(file.name)
        hashed.update(f"{name.as_posix()} {_hash_file(file)}\n".encode())
    return f"{CODE}{Path(script).stem} {hashed.hexdigest()[:16]}"


@cache
def _imports(file: Path) -> list[Path]:
    names: set[str] = set()
    # Snakemake parses a hundred files at every start: visiting statements only, without expressions, is much faster.
    pending: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for block in BLOCKS:
            pending += getattr(node, block, ())
    return [path for name in names for path in _files(name)]


@cache
def _files(module: str) -> list[Path]:
    first, *parts = module.split(".")
    if first != PACKAGE.name:
        return []
    # Importing a module executes the __init__ of all its parent packages.
    parents = [PACKAGE.joinpath(*parts[:i], "__init__.py") for i in range(len(parts) + 1)]
    return [path for path in (*parents, PACKAGE.joinpath(*parts).with_suffix(".py")) if path.is_file()]

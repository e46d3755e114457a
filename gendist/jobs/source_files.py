"""Source files of a workflow script and of the package modules that it imports.

Snakemake tracks the script only; the rules declare these files as inputs, so that editing a module reruns its jobs.
"""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of an AST statement that contain statements."""


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

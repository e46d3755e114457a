"""Which source files a workflow script consists of, so that editing one of them reruns what the script made.

Snakemake sees a script, not what it imports; all these files are declared as inputs instead.
"""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement holds others."""


def source_files(script: Path) -> list[Path]:
    """Return a script and the files of this package that it imports, directly or not.

    Import statements are read, not run; the whole closure within the package is returned, sorted.
    """
    found: set[Path] = set()
    waiting = [Path(script)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imports(file)
    return sorted(found)


@cache
def _imports(file: Path) -> list[Path]:
    names: set[str] = set()
    # Every start of Snakemake reads a hundred files: only statements are looked at, never the expressions in them.
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for block in BLOCKS:
            waiting += getattr(node, block, ())
    return [path for name in names for path in _files(name)]


@cache
def _files(module: str) -> list[Path]:
    first, *parts = module.split(".")
    if first != PACKAGE.name:
        return []
    # Importing a module runs the __init__ of every package above it.
    above = [PACKAGE.joinpath(*parts[:i], "__init__.py") for i in range(len(parts) + 1)]
    return [path for path in (*above, PACKAGE.joinpath(*parts).with_suffix(".py")) if path.is_file()]

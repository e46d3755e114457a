"""The rooms of the package, and which of them may import which."""

import ast
from pathlib import Path

import gendist

PACKAGE = Path(gendist.__file__).parent
ROOMS = (
    "__main__",
    "classifier",
    "cli",
    "launcher",
    "analysis",
    "stages",
    "predict",
    "nn",
    "config",
    "jobs",
    "io",
    "naming",
    "errors",
)
"""From the outside to the inside: a module imports from its own room and those after it."""
PREDICTION = ("predict", "io", "errors")
"""Rooms that run without PyTorch, and without the config of a study."""


def imported(file: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_imports_point_one_way():
    upward = []
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).with_suffix("").parts[0]
        for module in imported(file) if room != "__init__" else ():
            parts = module.split(".")
            assert parts[0] != "tools", f"{file} imports {module}, which is not installed"
            if parts[0] == "gendist" and parts[1] in ROOMS and ROOMS.index(parts[1]) < ROOMS.index(room):
                upward.append(f"{file.relative_to(PACKAGE)} imports {module}")
    assert upward == []


def test_every_room_is_known():
    found = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {path.stem for path in PACKAGE.glob("*.py")}
    assert found - {"__init__"} == set(ROOMS)


def test_prediction_needs_neither_torch_nor_a_study():
    for room in PREDICTION:
        for file in sorted([*PACKAGE.glob(f"{room}.py"), *(PACKAGE / room).rglob("*.py")]):
            modules = [module.split(".") for module in imported(file)]
            assert not {first for first, *_ in modules} & {"transformers", "snakemake", "pydantic"}, file
            assert room != "predict" or not any(first == "torch" for first, *_ in modules), file
            assert {parts[1] for parts in modules if parts[0] == "gendist" and parts[1] in ROOMS} <= {*PREDICTION}, file

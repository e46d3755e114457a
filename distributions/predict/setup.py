"""Takes from the package what prediction imports."""

import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGE = Path(__file__).resolve().parents[2] / "gendist"
MODULES = {
    "gendist": {"__init__", "errors"},
    "gendist.io": {
        "__init__",
        "atomic_files",
        "checksums",
        "csv_quoting",
        "delimited_files",
        "escape",
        "json_files",
        "os_errors",
        "provenance",
        "regular_files",
        "text_encodings",
    },
}
"""Modules of these packages that prediction imports; of ``gendist.predict``, all belong to it."""


class BuildPrediction(build_py):
    """Leaves out all other modules."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return (package, module, file) of the modules to install."""
        found = super().find_package_modules(package, package_dir)
        return [entry for entry in found if package not in MODULES or entry[1] in MODULES[package]]


version = re.search(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
assert version is not None  # noqa: S101
setup(
    version=version[1],
    packages=["gendist", "gendist.io", "gendist.predict"],
    package_dir={"gendist": "../../gendist"},
    package_data={"gendist": ["py.typed"], "gendist.predict": ["bert_characters.json"]},
    cmdclass={"build_py": BuildPrediction},
)

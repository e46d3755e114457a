"""Puts the workflow into the wheel: Snakefile, rules, scripts, profiles and studies become gendist/workflow/."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
WORKFLOW = (
    "Snakefile",
    "config.yaml",
    "rules",
    "workflow_scripts",
    "envs",
    "profiles",
    "configs",
    "docs/report.rst",
    "docs/captions",
    "data/newsbriefs",
)


class BuildWithWorkflow(build_py):
    """Copies the workflow's files beside the package; an editable installation finds them in the checkout."""

    def run(self) -> None:
        """Build the package, then add the files."""
        super().run()
        if not self.editable_mode:
            for source, target in self._workflow_files():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return all files that the build makes."""
        made = [] if self.editable_mode else [str(target) for _, target in self._workflow_files()]
        return [*super().get_outputs(include_bytecode), *made]

    def _workflow_files(self) -> list[tuple[Path, Path]]:
        target = Path(self.build_lib) / "gendist" / "workflow"
        found = []
        for name in WORKFLOW:
            files = [ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*"))
            found += [file for file in files if file.is_file() and "__pycache__" not in file.parts]
        return [(file, target / file.relative_to(ROOT)) for file in found]


setup(cmdclass={"build_py": BuildWithWorkflow})

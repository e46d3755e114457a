"""Where the workflow lies, and the command that starts it."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.regular_files import require_regular_file

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that the package lies in: the checkout, if it is installed from one."""
CONFIG = "config.yaml"
"""The config of a command that names none."""
NO_EXPORT = ("--config", "export={enabled: false}")
"""Snakemake's arguments for a run without the export, whatever the config has."""


def find_snakefile() -> Path:
    """Return the workflow's Snakefile.

    Raises:
        GendistError: if the package was not installed from a checkout.
    """
    path = CHECKOUT / "Snakefile"
    if not path.is_file():
        raise GendistError(
            f"no Snakefile in {CHECKOUT}: running a study needs gendist's checkout and pip install -e '.[study]' in it"
        )
    return path


def require_config(config: Path | None) -> Path:
    """Return the study's config: the one named, else ``config.yaml`` of the working directory.

    Raises:
        GendistError: if there is none.
    """
    path = config or Path(CONFIG)
    hint = "" if config else "; name one, or make one from your data: gendist init DATA.csv"
    require_regular_file(path, hint, "config file")
    return path


def snakemake_command(config: Path, *arguments: str) -> list[str]:
    """Return the Snakemake command of a study, to be started in the user's working directory."""
    start = [sys.executable, "-m", "snakemake", "-s", os.path.relpath(find_snakefile())]
    return [*start, "--configfile", str(config), *arguments]


def profile_folder(name: str) -> str:
    """Return a profile of the checkout by its name; other names are Snakemake's to find."""
    own = CHECKOUT / "profiles" / name
    return str(own) if own.is_dir() and not Path(name).exists() else name


def scheduling_arguments(cores: int | None, profile: str | None, further: Sequence[str] = ()) -> list[str]:
    """Return Snakemake's arguments for cores and profile; a profile may bring its own number of cores.

    Raises:
        GendistError: if the profile is for a cluster and this machine is not part of it.
    """
    if profile == "slurm" and not shutil.which("sbatch"):
        raise GendistError("--profile slurm: no sbatch on this machine; start the run on a login node of the cluster")
    arguments = ["--profile", profile_folder(profile)] if profile else []
    if cores is not None or not profile:
        arguments += ["--cores", str(cores or available_cores())]
    return [*arguments, *further]


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

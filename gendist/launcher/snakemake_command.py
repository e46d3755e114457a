"""Location of the workflow, and the Snakemake command that runs it."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from gendist.errors import GendistError
from gendist.io.regular_files import require_regular_file

PACKAGE = Path(__file__).resolve().parents[1]
WORKFLOW_FOLDERS = (PACKAGE.parent, PACKAGE / "workflow")
"""Possible folders of the Snakefile: the checkout of the package, or the package itself if installed from a wheel."""
JOBS_PER_GPU = 3
"""Jobs that ``gendist run`` starts per GPU. One computes; the others import their libraries, then wait for the GPU."""
CONFIG = "config.yaml"
"""Default config of a command."""
NO_EXPORT = ("--config", "export={enabled: false}")
"""Snakemake arguments that disable the export, whatever the config."""


def workflow_folder() -> Path:
    """Return the folder of the Snakefile, with rules, scripts, profiles and example studies.

    Raises:
        GendistError: if the installation lacks it.
    """
    for folder in WORKFLOW_FOLDERS:
        if (folder / "Snakefile").is_file():
            return folder
    raise GendistError(f"no Snakefile in {' or '.join(map(str, WORKFLOW_FOLDERS))}: reinstall gendist")


def require_config(config: Path | None) -> Path:
    """Return the path of the study's config: ``config``, or ``config.yaml`` in the working directory.

    Raises:
        GendistError: if it does not exist.
    """
    path = config or Path(CONFIG)
    hint = "" if config else "; name a config, or create one from your data: gendist init DATA.csv"
    require_regular_file(path, hint, "config file")
    return path


def snakemake_command(config: Path, *arguments: str) -> list[str]:
    """Return the Snakemake command of a study, to run in the user's working directory."""
    start = [sys.executable, "-m", "snakemake", "-s", os.path.relpath(workflow_folder() / "Snakefile")]
    return [*start, "--configfile", str(config), *arguments]


def profile_folder(name: str) -> str:
    """Return the folder of gendist's profile with this name; other names are left to Snakemake."""
    own = workflow_folder() / "profiles" / name
    return str(own) if own.is_dir() and not Path(name).exists() else name


def scheduling_arguments(cores: int | None, profile: str | None, extra: Sequence[str] = ()) -> list[str]:
    """Return Snakemake's arguments for cores and profile; a profile can set the number of cores.

    Raises:
        GendistError: if the profile is for Slurm and this machine has no Slurm.
    """
    if profile == "slurm" and not shutil.which("sbatch"):
        raise GendistError(
            "--profile slurm: sbatch not found on this machine; start the run on a login node of the cluster"
        )
    arguments = ["--profile", profile_folder(profile)] if profile else []
    if cores is not None or not profile:
        arguments += ["--cores", str(cores or available_cores())]
    return [*arguments, *extra]


def limit_resources(arguments: Sequence[str], gpus: int) -> list[str]:
    """Return Snakemake's arguments with limits: ``JOBS_PER_GPU``, and one job that prompts an endpoint.

    Args:
        arguments: Snakemake's arguments; targets follow ``--``. Limits among them are kept, and so are those of a
            profile, which ``--resources`` would replace.
        gpus: number of GPUs of this machine; a limit of 0 would block every job that can use one.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, targets = list(arguments[:end]), arguments[end:]
    if {word.partition("=")[0] for word in options} & {"--profile", "--executor", "-e"}:
        return list(arguments)
    if "--resources" not in options:
        options.append("--resources")
    after_flag = options.index("--resources") + 1
    limits = {"gpu": JOBS_PER_GPU * gpus, "endpoint": 1} if gpus else {"endpoint": 1}
    added = [f"{name}={limit}" for name, limit in limits.items() if not any(w.startswith(f"{name}=") for w in options)]
    return [*options[:after_flag], *added, *options[after_flag:], *targets]


def available_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Runs the quick study of a config: from its data to an exported classifier (``gendist run --quick``)."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from gendist.config import Study
from gendist.config.quick_study import quick_study
from gendist.config.run_config import write_run_config
from gendist.config.study_plan import can_export
from gendist.errors import GendistError
from gendist.launcher.study_run import print_classifiers, run_jobs
from gendist.launcher.study_status import show_status
from gendist.naming import EXPORTED_MODEL
from gendist.predict.exported_model import DESCRIPTION

QUICK_CONFIG = "quick.yaml"
"""Config of the quick study, in the folder of the results."""


def run_quick(path: Path, study: Study, scheduling: Sequence[str], *, dry_run: bool = False) -> int:
    """Run the quick study of ``study`` in the working directory and print how to use the classifier.

    Args:
        path: config of the full study.
        study: the full study.
        scheduling: Snakemake arguments for cores and profile, and those of the user.
        dry_run: only show the jobs.

    Returns:
        The exit status, see ``run_jobs``.

    Raises:
        GendistError: if the student cannot be exported, or the run cannot start.
    """
    quick = quick_study(study)
    if not can_export(quick):
        raise GendistError(
            f"--quick exports {quick.systems[0]}, which is impossible with embeddings of BPEmb (bpemb:...); "
            "name a student with other embeddings in export.systems"
        )
    results = Path(quick.results)
    targets = [str(results / name / EXPORTED_MODEL / DESCRIPTION) for name in quick.datasets]
    arguments = [*scheduling, "--", *targets]
    if dry_run:
        with TemporaryDirectory() as folder:
            config = Path(folder) / QUICK_CONFIG
            write_run_config(quick.model_dump(mode="json"), config)
            show_status(config, quick, arguments, name=f"{path} --quick")
        return 0
    config = results / QUICK_CONFIG
    write_run_config(quick.model_dump(mode="json"), config)
    status = run_jobs(config, quick, arguments)
    if status == 0:
        print_classifiers(quick)
    return status

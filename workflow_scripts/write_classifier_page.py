"""Write the exported classifier as one HTML page."""

import logging
from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.export.classifier_page.unsupported_model_error import UnsupportedModelError
from gendist.stages.export.classifier_page.write_page import write_notice, write_page

with run_job(snakemake, f"{snakemake.wildcards.dataset} page of the exported model"):
    target = Path(snakemake.output[0])
    try:
        write_page(Path(snakemake.input.model).parent, target)
    except UnsupportedModelError as error:
        # The model predicts elsewhere: a study does not fail for its page.
        logging.getLogger(__name__).warning("%s has no classifier: %s", target, error)
        write_notice(target, str(error))

"""Write the model card and the dataset card of every dataset."""

from gendist.analysis.cards.write_cards import write_cards
from gendist.config import study_from
from gendist.jobs.job_script import run_job

with run_job(snakemake, "cards"):
    study = study_from(snakemake.params.study)
    for dataset in study.datasets:
        write_cards(study, dataset)

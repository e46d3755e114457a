"""Write the record of a generator that is prompted."""

from pathlib import Path

from gendist.config.generator_settings import Generator
from gendist.jobs.job_script import run_job
from gendist.stages.synthetic.prompt_shards import prepare_prompts

with run_job(snakemake, f"{snakemake.wildcards.dataset} generator {snakemake.wildcards.generator}"):
    prepare_prompts(Path(snakemake.input.train), Path(snakemake.output[0]), Generator(**snakemake.params.generator))

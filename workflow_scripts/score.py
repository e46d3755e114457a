"""Compute a finetuned teacher's logits of texts files."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.logits.score_texts import score_files

texts = snakemake.input.texts
folder = Path(texts if isinstance(texts, str) else texts[-1]).parent
targets = [Path(file) for file in snakemake.output]
with run_job(snakemake, f"{snakemake.wildcards.dataset} logits {snakemake.wildcards.teacher}"):
    score_files(
        Path(snakemake.input[0]).parent,
        [folder / target.name for target in targets],
        targets,
        snakemake.params.max_tokens,
        threads=snakemake.threads,
        device=snakemake.config.get("device", "auto"),
    )

"""Score one file of texts with a finetuned teacher."""

from pathlib import Path

from gendist.logits.score import score
from gendist.script import logged

with logged(snakemake.log[0], f"{snakemake.wildcards.dataset} logits {snakemake.wildcards.teacher}"):
    score(
        Path(snakemake.input[0]).parent,
        Path(snakemake.input.texts),
        Path(snakemake.output[0]),
        snakemake.params.max_tokens,
        snakemake.threads,
        snakemake.resources.device,
    )

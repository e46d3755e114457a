"""Train and evaluate one student, with one seed or with all seeds of the study."""

from pathlib import Path

from gendist.config.student_settings import Student, Training
from gendist.jobs.job_script import run_job
from gendist.naming import RunKey
from gendist.stages.students.distil_student import distil_seeds, student_metadata
from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles

names = snakemake.wildcards
keys = {RunKey.from_folder(folder): folder for folder in (Path(p).parent for p in snakemake.output)}
folders = {key.seed: folder for key, folder in keys.items()}
row = student_metadata(min(keys))
seeds = f"seed{'s' if len(folders) > 1 else ''} {' '.join(map(str, folders))}"
unlabelled = None
if snakemake.input.unlabelled:
    # Under gendist-unlabelled, n_synthetic counts the synthetic rows.
    count = int(names.n_synthetic) if names.regime == "unlabelled" else None
    texts, logits = Path(snakemake.input.unlabelled[0]), Path(snakemake.input.unlabelled[1])
    unlabelled = UnlabelledFiles(texts, logits, count)
general = UnlabelledFiles(*map(Path, snakemake.input.general)) if snakemake.input.general else None
with run_job(snakemake, f"{names.dataset} {row.system} n{names.n_synthetic} {seeds}"):
    distil_seeds(
        folders,
        row,
        train=Path(snakemake.input.train),
        test=Path(snakemake.input.test),
        embeddings=Path(snakemake.params.embeddings),
        student=Student(**snakemake.params.student),
        training=Training(**snakemake.params.training),
        train_logits=Path(snakemake.input.train_logits) if snakemake.input.train_logits else None,
        synthetic=SyntheticFiles(
            [Path(p) for p in snakemake.input.shards],
            [Path(p) for p in snakemake.input.shard_logits],
            row.n_synthetic,
            Path(snakemake.input.repeats) if snakemake.input.repeats else None,
        ),
        threads=snakemake.threads,
        device=snakemake.config.get("device", "auto") if len(folders) > 1 else "cpu",
        unlabelled=unlabelled,
        general=general,
    )

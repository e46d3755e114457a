"""Texts: the user's files or a hub dataset to validated train and test Parquet files."""


def source_files(wildcards):
    """The user's files of a dataset; a hub dataset has none."""
    dataset = STUDY.datasets[wildcards.dataset]
    return [path for path in (dataset.train, dataset.test) if path is not None]


def dataset_settings(wildcards):
    """The dataset's config; the number of synthetic rows has no influence on the texts."""
    values = settings(STUDY.datasets[wildcards.dataset])
    del values["synthetic"]
    return values


rule prepare_texts:
    input:
        source_files,
        code=code("texts"),
    output:
        train=f"{RESULTS}/{{dataset}}/texts/train.parquet",
        test=f"{RESULTS}/{{dataset}}/texts/test.parquet",
    log:
        f"{LOGS}/{{dataset}}/texts.log",
    params:
        dataset=dataset_settings,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/prepare_texts.py"

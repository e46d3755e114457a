"""Texts: the user's files or a hub dataset to validated train and test Parquet files."""


rule prepare_texts:
    input:
        source_files,
        code=code("prepare_texts"),
    output:
        train=f"{RESULTS}/{{dataset}}/texts/train.parquet",
        test=f"{RESULTS}/{{dataset}}/texts/test.parquet",
    log:
        f"{LOGS}/{{dataset}}/texts.log",
    conda:
        "../envs/cpu.yaml"
    params:
        dataset=dataset_settings,
    script:
        "../workflow_scripts/prepare_texts.py"

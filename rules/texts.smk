"""Texts: from files or a hub dataset to validated Parquet files: train, test and unlabelled rows."""


rule prepare_texts:
    input:
        data_files,
    output:
        train=f"{RESULTS}/{{dataset}}/texts/train.parquet",
        test=f"{RESULTS}/{{dataset}}/texts/test.parquet",
    log:
        f"{LOGS}/{{dataset}}/texts.log",
    conda:
        "../envs/cpu.yaml"
    params:
        dataset=dataset_settings,
        code=code("prepare_texts"),
    script:
        "../workflow_scripts/prepare_texts.py"


rule prepare_unlabelled:
    input:
        unlabelled_file,
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        f"{RESULTS}/{{dataset}}/texts/unlabelled.parquet",
    log:
        f"{LOGS}/{{dataset}}/texts-unlabelled.log",
    conda:
        "../envs/cpu.yaml"
    params:
        dataset=unlabelled_settings,
        code=code("prepare_unlabelled"),
    script:
        "../workflow_scripts/prepare_unlabelled.py"


rule prepare_general:
    input:
        general_texts_file(),
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        f"{RESULTS}/{{dataset}}/texts/general.parquet",
    log:
        f"{LOGS}/{{dataset}}/texts-general.log",
    conda:
        "../envs/cpu.yaml"
    params:
        rows=STUDY.general_rows,
        code=code("prepare_general"),
    script:
        "../workflow_scripts/prepare_general.py"

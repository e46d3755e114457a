"""Teacher: the labelled training rows to a finetuned sequence classifier."""


def teacher_model_files(wildcards):
    """What the finetuning reads of a model in a local folder."""
    return model_files(STUDY.teachers[wildcards.teacher].model)


def teacher_settings(wildcards):
    """The teacher's config."""
    return settings(STUDY.teachers[wildcards.teacher])


rule finetune_teacher:
    input:
        teacher_model_files,
        train=rules.prepare_texts.output.train,
        code=code("teacher"),
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/teachers/{{teacher}}/",
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "timing.json",
            "history.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/teachers/{{teacher}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/teachers/{{teacher}}.benchmark.tsv"
    params:
        teacher=teacher_settings,
    threads: 1
    resources:
        gpu=1,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/finetune_teacher.py"

"""Teacher: from the labelled training rows to a finetuned sequence classifier."""


rule finetune_teacher:
    input:
        teacher_model_files,
        train=rules.prepare_texts.output.train,
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
    priority: 90
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        gpu=gpus_wanted,
    params:
        teacher=teacher_settings,
        work=WORK,
        code=code("finetune_teacher"),
    script:
        "../workflow_scripts/finetune_teacher.py"

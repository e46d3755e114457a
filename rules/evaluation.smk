"""Evaluation: from the predictions of every system to one tidy table."""


rule evaluate_teacher:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        logits=f"{RESULTS}/{{dataset}}/logits/{{teacher}}/test.parquet",
        history=f"{RESULTS}/{{dataset}}/teachers/{{teacher}}/history.json",
        timing=f"{RESULTS}/{{dataset}}/teachers/{{teacher}}/timing.json",
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/evaluation/{{teacher}}/",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/evaluation/{{teacher}}.log",
    conda:
        "../envs/cpu.yaml"
    params:
        seed=teacher_seed,
        code=code("evaluate_teacher"),
    script:
        "../workflow_scripts/evaluate_teacher.py"


rule collect_metrics:
    input:
        metrics=run_metrics,
    output:
        f"{RESULTS}/metrics.parquet",
    log:
        f"{LOGS}/metrics.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("collect_metrics"),
    script:
        "../workflow_scripts/collect_metrics.py"

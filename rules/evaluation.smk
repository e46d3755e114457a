"""Evaluation: every system's predictions to one tidy table."""


def run_metrics(wildcards):
    """The metrics of every run that the study asks for."""
    paths = [rules.distil_student.output.metrics.format(**run._asdict()) for run in planned_runs(STUDY)]
    for dataset in STUDY.datasets:
        paths += expand(rules.evaluate_teacher.output.metrics, dataset=dataset, teacher=STUDY.teachers)
        if "tfidf-svm" in STUDY.systems:  # nothing in it is random
            paths += expand(rules.fit_tfidf_svm.output.metrics, dataset=dataset, seed=STUDY.seed_list[0])
        if "fasttext" in STUDY.systems:
            paths += expand(rules.fit_fasttext.output.metrics, dataset=dataset, seed=STUDY.seed_list)
    return paths


def teacher_seed(wildcards):
    """Seed of the teacher's finetuning."""
    return STUDY.teachers[wildcards.teacher].seed


rule evaluate_teacher:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        logits=f"{RESULTS}/{{dataset}}/logits/{{teacher}}/test.parquet",
        history=f"{RESULTS}/{{dataset}}/teachers/{{teacher}}/history.json",
        timing=f"{RESULTS}/{{dataset}}/teachers/{{teacher}}/timing.json",
        code=code("evaluation"),
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/evaluation/{{teacher}}/",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/evaluation/{{teacher}}.log",
    params:
        seed=teacher_seed,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/evaluate_teacher.py"


rule collect_metrics:
    input:
        metrics=run_metrics,
        code=code("evaluation/collect"),
    output:
        f"{RESULTS}/metrics.parquet",
    log:
        f"{LOGS}/metrics.log",
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/collect_metrics.py"

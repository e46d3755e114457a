"""Logits: the finetuned teacher's scores of real rows and of every shard."""


def teacher_max_tokens(wildcards):
    """Where the teacher cuts texts."""
    return STUDY.teachers[wildcards.teacher].max_tokens


rule score_texts:
    input:
        rules.finetune_teacher.output,
        texts=f"{RESULTS}/{{dataset}}/texts/{{split}}.parquet",
        code=code("logits"),
    output:
        f"{RESULTS}/{{dataset}}/logits/{{teacher}}/{{split}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{split}}.log",
    params:
        max_tokens=teacher_max_tokens,
    threads: 1
    resources:
        gpu=1,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/score.py"


rule score_shard:
    input:
        rules.finetune_teacher.output,
        texts=rules.generate_shard.output[0],
        code=code("logits"),
    output:
        f"{RESULTS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shard-{{shard}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shard-{{shard}}.benchmark.tsv"
    params:
        max_tokens=teacher_max_tokens,
    threads: 1
    resources:
        gpu=1,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/score.py"

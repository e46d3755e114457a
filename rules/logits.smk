"""Logits: the finetuned teacher's scores of real rows and of every shard."""


rule score_texts:
    input:
        rules.finetune_teacher.output,
        texts=f"{RESULTS}/{{dataset}}/texts/{{split}}.parquet",
        code=code("score"),
    output:
        f"{RESULTS}/{{dataset}}/logits/{{teacher}}/{{split}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{split}}.log",
    priority: 70
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        gpu=gpus_wanted,
        device=STUDY.device,
    params:
        max_tokens=teacher_max_tokens,
    script:
        "../workflow_scripts/score.py"


rule score_shard:
    input:
        rules.finetune_teacher.output,
        texts=rules.generate_shard.output[0],
        code=code("score"),
    output:
        f"{RESULTS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shard-{{shard}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shard-{{shard}}.benchmark.tsv"
    priority: 70
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        gpu=gpus_wanted,
        device=STUDY.device,
    params:
        max_tokens=teacher_max_tokens,
    script:
        "../workflow_scripts/score.py"

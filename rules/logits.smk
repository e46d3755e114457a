"""Logits: the finetuned teacher's logits of the real rows and of every shard."""


rule score_texts:
    input:
        rules.finetune_teacher.output,
        texts=f"{RESULTS}/{{dataset}}/texts/{{split}}.parquet",
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
    params:
        max_tokens=teacher_max_tokens,
        code=code("score"),
    script:
        "../workflow_scripts/score.py"


rule score_shard:
    input:
        rules.finetune_teacher.output,
        texts=rules.generate_shard.output[0],
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
    params:
        max_tokens=teacher_max_tokens,
        code=code("score"),
    script:
        "../workflow_scripts/score.py"


use rule index_shards as index_logits with:
    input:
        indexed_shards(rules.score_shard.output[0]),
    output:
        shard_index(rules.score_shard.output[0]),
    log:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/index-{{n_shards}}.log",


ruleorder: score_shards > score_shard


use rule score_shard as score_shards with:
    input:
        rules.finetune_teacher.output,
        texts=scored_shards,
    output:
        ten_shards(rules.score_shard.output[0]),
    log:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shards-{{tens}}0.log",
    benchmark:
        f"{LOGS}/{{dataset}}/logits/{{teacher}}/{{generator}}/{{sampling}}/shards-{{tens}}0.benchmark.tsv"
    wildcard_constraints:
        generator=f"{NOT_FINETUNED}[A-Za-z0-9][A-Za-z0-9_-]*",

"""Synthetic texts: the finetuned generator to shards of a pool that only ever grows."""


rule generate_shard:
    input:
        rules.finetune_generator.output,
        train=sampling_texts,
        code=code("generate_shard"),
    output:
        f"{RESULTS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.benchmark.tsv"
    priority: 80
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        gpu=gpus_wanted,
        device=STUDY.device,
        batch_size=sampling_batch_size,
    params:
        sampling=sampling_settings,
        shard_rows=STUDY.shard_rows,
        work=WORK,
    script:
        "../workflow_scripts/generate_shard.py"

"""Synthetic texts: the finetuned generator to shards of a pool that only ever grows."""


def sampling_settings(wildcards):
    """The sampling's config; the batch size does not belong to it, because it changes no row."""
    values = settings(STUDY.samplings[wildcards.sampling])
    del values["batch_size"]
    return values


def sampling_batch_size(wildcards):
    """Rows generated side by side; outside params, so that changing it reruns nothing."""
    return STUDY.samplings[wildcards.sampling].batch_size


rule generate_shard:
    input:
        rules.finetune_generator.output,
        code=code("synthetic"),
    output:
        f"{RESULTS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.benchmark.tsv"
    params:
        sampling=sampling_settings,
        shard_rows=STUDY.shard_rows,
    threads: 1
    resources:
        gpu=1,
        batch_size=sampling_batch_size,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/generate_shard.py"

"""Synthetic texts: from a finetuned generator, a chat model or a file of rows to the shards of a pool."""


rule generate_shard:
    input:
        generator_files,
        train=sampling_texts,
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
    params:
        sampling=sampling_settings,
        shard_rows=STUDY.shard_rows,
        work=WORK,
        code=code("generate_shard"),
    script:
        "../workflow_scripts/generate_shard.py"


rule index_shards:
    input:
        indexed_shards(rules.generate_shard.output[0]),
    output:
        shard_index(rules.generate_shard.output[0]),
    log:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/index-{{n_shards}}.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("index_shards"),
    script:
        "../workflow_scripts/index_shards.py"


ruleorder: generate_shards > generate_shard


use rule generate_shard as generate_shards with:
    output:
        ten_shards(rules.generate_shard.output[0]),
    log:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shards-{{tens}}0.log",
    benchmark:
        f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shards-{{tens}}0.benchmark.tsv"
    wildcard_constraints:
        generator=f"{NOT_FINETUNED}[A-Za-z0-9][A-Za-z0-9_-]*",


if GIVEN:

    ruleorder: cut_shard > generate_shard

    rule read_given:
        input:
            rows=given_file,
            train=rules.prepare_texts.output.train,
        output:
            GIVEN_ROWS,
        log:
            f"{LOGS}/{{dataset}}/generators/{{generator}}.log",
        conda:
            "../envs/cpu.yaml"
        params:
            code=code("read_given"),
        script:
            "../workflow_scripts/read_given.py"

    rule cut_shard:
        input:
            rows=rules.read_given.output[0],
        output:
            rules.generate_shard.output[0],
        log:
            f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.log",
        wildcard_constraints:
            generator="|".join(GIVEN),
        priority: 80
        conda:
            "../envs/cpu.yaml"
        params:
            shard_rows=STUDY.shard_rows,
            code=code("cut_shard"),
        script:
            "../workflow_scripts/cut_shard.py"


if INSTRUCT:

    ruleorder: prompt_shard > generate_shard

    rule prompt_shard:
        input:
            instruct_model_files,
            rules.prepare_prompts.output,
            train=rules.prepare_texts.output.train,
        output:
            rules.generate_shard.output[0],
        log:
            f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.log",
        benchmark:
            f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.benchmark.tsv"
        wildcard_constraints:
            generator="|".join(INSTRUCT),
        priority: 80
        conda:
            "../envs/cpu.yaml"
        threads: 1
        resources:
            gpu=gpus_wanted,
        params:
            generator=prompted_settings,
            sampling=sampling_settings,
            shard_rows=STUDY.shard_rows,
            work=WORK,
            code=code("prompt_shard"),
        script:
            "../workflow_scripts/prompt_shard.py"


if ENDPOINT:

    ruleorder: ask_shard > generate_shard

    rule ask_shard:
        input:
            rules.prepare_prompts.output,
            train=rules.prepare_texts.output.train,
        output:
            rules.generate_shard.output[0],
        log:
            f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.log",
        benchmark:
            f"{LOGS}/{{dataset}}/synthetic/{{generator}}/{{sampling}}/shard-{{shard}}.benchmark.tsv"
        wildcard_constraints:
            generator="|".join(ENDPOINT),
        priority: 80
        conda:
            "../envs/cpu.yaml"
        threads: 1
        resources:
            endpoint=1,
        params:
            generator=prompted_settings,
            sampling=sampling_settings,
            shard_rows=STUDY.shard_rows,
            code=code("ask_shard"),
        script:
            "../workflow_scripts/ask_shard.py"

"""Generator: from training texts to a finetuned causal language model, its adapters, or a record of the prompts."""


rule finetune_generator:
    input:
        generator_model_files,
        train=rules.prepare_texts.output.train,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/generators/{{generator}}/", "config.json", "model.safetensors", "tokenizer.json"
        ),
    log:
        f"{LOGS}/{{dataset}}/generators/{{generator}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/generators/{{generator}}.benchmark.tsv"
    priority: 100
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        gpu=gpus_wanted,
    params:
        generator=generator_settings,
        work=WORK,
        code=code("finetune_generator"),
    script:
        "../workflow_scripts/finetune_generator.py"


if LORA:

    ruleorder: finetune_lora > finetune_generator

    use rule finetune_generator as finetune_lora with:
        output:
            multiext(
                f"{RESULTS}/{{dataset}}/generators/{{generator}}/",
                "config.json",
                "adapter_model.safetensors",
                "adapter_config.json",
                "tokenizer.json",
            ),
        wildcard_constraints:
            generator="|".join(LORA),


if PROMPTED:

    ruleorder: prepare_prompts > finetune_generator

    rule prepare_prompts:
        input:
            train=rules.prepare_texts.output.train,
        output:
            rules.finetune_generator.output[0],
        log:
            f"{LOGS}/{{dataset}}/generators/{{generator}}.log",
        wildcard_constraints:
            generator="|".join(PROMPTED),
        conda:
            "../envs/cpu.yaml"
        params:
            generator=prompted_settings,
            code=code("prepare_prompts"),
        script:
            "../workflow_scripts/prepare_prompts.py"

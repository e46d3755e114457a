"""Generator: the training texts, with label names only if it is conditional, to a finetuned causal language model."""


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

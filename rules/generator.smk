"""Generator: the training texts, without labels, to a finetuned causal language model."""


def generator_model(wildcards):
    """Folder or hub id of the model to finetune."""
    model = STUDY.generators[wildcards.generator].model
    return f"{RESULTS}/pocket/generator" if model == "pocket" else model


def generator_model_files(wildcards):
    """What the finetuning reads of its model."""
    if STUDY.generators[wildcards.generator].model == "pocket":
        return rules.unpack_pocket.output
    return model_files(generator_model(wildcards))


def generator_settings(wildcards):
    """The generator's config, its model as a folder or hub id."""
    return settings(STUDY.generators[wildcards.generator], model=generator_model(wildcards))


rule finetune_generator:
    input:
        generator_model_files,
        train=rules.prepare_texts.output.train,
        code=code("generator"),
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/generators/{{generator}}/", "config.json", "model.safetensors", "tokenizer.json"
        ),
    log:
        f"{LOGS}/{{dataset}}/generators/{{generator}}.log",
    benchmark:
        f"{LOGS}/{{dataset}}/generators/{{generator}}.benchmark.tsv"
    params:
        generator=generator_settings,
    threads: 1
    resources:
        gpu=1,
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/finetune_generator.py"

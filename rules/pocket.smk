"""Pocket: the embedded models, unpacked to ordinary folders; published embeddings, downloaded."""


rule unpack_pocket:
    input:
        model=multiext(
            f"{relative(PACKAGE)}/nn/pocket/models/generator/",
            "config.json",
            "model-int8.safetensors",
            "tokenizer.json",
        ),
    output:
        multiext(f"{RESULTS}/pocket/generator/", "config.json", "model.safetensors", "tokenizer.json"),
    log:
        f"{LOGS}/pocket.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("unpack_pocket"),
    script:
        "../workflow_scripts/unpack_pocket.py"


rule fetch_bpemb:
    output:
        multiext(
            f"{RESULTS}/embeddings/bpemb-{{language}}-{{pieces}}-{{width}}/",
            "sentencepiece.model",
            "vectors.safetensors",
        ),
    log:
        f"{LOGS}/embeddings/bpemb-{{language}}-{{pieces}}-{{width}}.log",
    wildcard_constraints:
        language="[a-z-]+",
        pieces="[0-9]+",
        width="[0-9]+",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("fetch_bpemb"),
    script:
        "../workflow_scripts/fetch_bpemb.py"

"""Baselines, trained on the same real rows: TF-IDF with a linear SVM, fastText, and sentence encoder classifiers."""


rule fit_tfidf_svm:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/tfidf-svm/seed{{seed}}/",
            model="svm.safetensors",
            vocabulary="vocabulary.json",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/tfidf-svm/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("fit_tfidf_svm"),
    script:
        "../workflow_scripts/fit_tfidf_svm.py"


rule fit_fasttext:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/fasttext/seed{{seed}}/",
            model="model.bin",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/fasttext/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("fit_fasttext"),
    script:
        "../workflow_scripts/fit_fasttext.py"


rule fit_encoder_lr:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/encoder-lr/seed{{seed}}/",
            model="head.safetensors",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/encoder-lr/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        code=code("fit_encoder_lr"),
    script:
        "../workflow_scripts/fit_encoder_lr.py"


rule distil_static:
    output:
        multiext(f"{RESULTS}/pocket/model2vec/", "config.json", "model.safetensors", "tokenizer.json"),
    log:
        f"{LOGS}/model2vec.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        code=code("distil_static"),
    script:
        "../workflow_scripts/distil_static.py"


rule fit_model2vec:
    input:
        static=rules.distil_static.output,
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/model2vec/seed{{seed}}/",
            model="head.safetensors",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/model2vec/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("fit_model2vec"),
    script:
        "../workflow_scripts/fit_model2vec.py"


rule fit_setfit:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/setfit/seed{{seed}}/",
            model="head.safetensors",
            config="config.json",
            encoder="model.safetensors",
            tokenizer="tokenizer.json",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/setfit/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        gpu=gpus_wanted,
    params:
        code=code("fit_setfit"),
    script:
        "../workflow_scripts/fit_setfit.py"

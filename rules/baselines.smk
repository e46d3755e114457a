"""Baselines: the same real rows to TF-IDF with a linear SVM, and to fastText."""


rule fit_tfidf_svm:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        code=code("fit_tfidf_svm"),
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/tfidf-svm/seed{{seed}}/",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/tfidf-svm/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/fit_tfidf_svm.py"


rule fit_fasttext:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        code=code("fit_fasttext"),
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/baselines/fasttext/seed{{seed}}/",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/baselines/fasttext/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/fit_fasttext.py"

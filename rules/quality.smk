"""Quality: from shards, logits and real rows to duplicates, quality measures and samples of each pool."""


rule find_repeats:
    input:
        train=rules.prepare_texts.output.train,
        shards=pool_shards,
    output:
        f"{RESULTS}/{{dataset}}/quality/{{generator}}/{{sampling}}/repeats/n{{n_synthetic}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/quality/{{generator}}/{{sampling}}/repeats-n{{n_synthetic}}.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        code=code("find_repeats"),
    script:
        "../workflow_scripts/find_repeats.py"


rule assess_pool:
    input:
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        generator=pool_source,
        shards=pool_shards,
        repeats=pool_repeats,
        train_logits=f"{RESULTS}/{{dataset}}/logits/{STUDY.teacher}/train.parquet",
        test_logits=f"{RESULTS}/{{dataset}}/logits/{STUDY.teacher}/test.parquet",
        logits=pool_logits,
    output:
        json=f"{RESULTS}/{{dataset}}/quality/{{generator}}/{{sampling}}/quality.json",
        rows=f"{RESULTS}/{{dataset}}/quality/{{generator}}/{{sampling}}/rows.parquet",
        html=f"{RESULTS}/{{dataset}}/quality/{{generator}}/{{sampling}}/samples.html",
    log:
        f"{LOGS}/{{dataset}}/quality/{{generator}}/{{sampling}}/quality.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        n_rows=pool_rows,
        teachers=pool_teachers,
        code=code("assess_pool"),
    script:
        "../workflow_scripts/assess_pool.py"


rule write_quality:
    input:
        pools=every_pool(rules.assess_pool.output.json),
        predictions=main_predictions,
        logits=every_dataset(f"{RESULTS}/{{dataset}}/logits/{STUDY.teacher}/test.parquet"),
    output:
        csv=f"{RESULTS}/tables/quality.csv",
        md=report(f"{RESULTS}/tables/quality.md", caption="../docs/captions/quality.rst", category="Tables"),
    log:
        f"{LOGS}/quality.log",
    conda:
        "../envs/cpu.yaml"
    params:
        datasets=list(STUDY.datasets),
        seeds=len(STUDY.seed_list),
        system=f"{STUDY.curve_student}+gendist",
        code=code("write_quality"),
    script:
        "../workflow_scripts/write_quality.py"


rule draw_quality:
    input:
        pools=every_pool(rules.assess_pool.output.json),
    output:
        svg=report(f"{RESULTS}/figures/quality.svg", caption="../docs/captions/quality_figure.rst", category="Figures"),
        png=f"{RESULTS}/figures/quality.png",
        csv=f"{RESULTS}/figures/quality.csv",
        parquet=f"{RESULTS}/figures/quality.parquet",
    log:
        f"{LOGS}/quality_figure.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("draw_quality"),
    script:
        "../workflow_scripts/draw_quality.py"

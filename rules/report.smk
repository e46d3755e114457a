"""Report: from metrics, texts and logits to tables and figures, and to one page, report.html."""

from gendist.config.study_plan import detailed_runs, named_variants


rule write_table1:
    input:
        metrics=rules.collect_metrics.output[0],
    output:
        csv=f"{RESULTS}/tables/table1.csv",
        md=report(f"{RESULTS}/tables/table1.md", caption="../docs/captions/table1.rst", category="Tables"),
        tex=f"{RESULTS}/tables/table1.tex",
    log:
        f"{LOGS}/table1.log",
    conda:
        "../envs/cpu.yaml"
    params:
        systems=STUDY.systems,
        counts=full_counts(),
        main=main_names(),
        code=code("write_table1"),
    script:
        "../workflow_scripts/write_table1.py"


rule write_table2:
    input:
        metrics=rules.collect_metrics.output[0],
    output:
        csv=f"{RESULTS}/tables/table2.csv",
        md=report(f"{RESULTS}/tables/table2.md", caption="../docs/captions/table2.rst", category="Tables"),
    log:
        f"{LOGS}/table2.log",
    conda:
        "../envs/cpu.yaml"
    params:
        student=STUDY.curve_student,
        counts=full_counts(),
        main=main_names(),
        code=code("write_table2"),
    script:
        "../workflow_scripts/write_table2.py"


rule write_table3:
    input:
        train=every_dataset(rules.prepare_texts.output.train),
        shards=main_shards(rules.generate_shard.output[0]),
        logits=main_shards(rules.score_shard.output[0]),
    output:
        csv=f"{RESULTS}/tables/table3.csv",
        md=report(f"{RESULTS}/tables/table3.md", caption="../docs/captions/table3.rst", category="Tables"),
    log:
        f"{LOGS}/table3.log",
    conda:
        "../envs/cpu.yaml"
    params:
        counts=full_counts(),
        shard_rows=STUDY.shard_rows,
        code=code("write_table3"),
    script:
        "../workflow_scripts/write_table3.py"


rule write_table4:
    input:
        train=every_dataset(rules.prepare_texts.output.train),
        shards=main_shards(rules.generate_shard.output[0]),
    output:
        csv=f"{RESULTS}/tables/table4.csv",
        md=report(f"{RESULTS}/tables/table4.md", caption="../docs/captions/table4.rst", category="Tables"),
    log:
        f"{LOGS}/table4.log",
    conda:
        "../envs/cpu.yaml"
    params:
        counts=full_counts(),
        shard_rows=STUDY.shard_rows,
        code=code("write_table4"),
    script:
        "../workflow_scripts/write_table4.py"


rule write_gains:
    input:
        metrics=rules.collect_metrics.output[0],
    output:
        csv=f"{RESULTS}/tables/gains.csv",
        md=report(f"{RESULTS}/tables/gains.md", caption="../docs/captions/gains.rst", category="Tables"),
    log:
        f"{LOGS}/gains.log",
    conda:
        "../envs/cpu.yaml"
    params:
        students=list(STUDY.students),
        counts=full_counts(),
        main=main_names(),
        variants=named_variants(STUDY),
        code=code("write_gains"),
    script:
        "../workflow_scripts/write_gains.py"


rule write_memorisation:
    input:
        train=every_dataset(rules.prepare_texts.output.train),
        test=every_dataset(rules.prepare_texts.output.test),
        shards=main_shards(rules.generate_shard.output[0]),
    output:
        csv=f"{RESULTS}/tables/memorisation.csv",
        md=report(f"{RESULTS}/tables/memorisation.md", caption="../docs/captions/memorisation.rst", category="Tables"),
    log:
        f"{LOGS}/memorisation.log",
    conda:
        "../envs/cpu.yaml"
    params:
        counts=full_counts(),
        shard_rows=STUDY.shard_rows,
        code=code("write_memorisation"),
    script:
        "../workflow_scripts/write_memorisation.py"


rule write_costs:
    input:
        costs=rules.collect_costs.output[0],
    output:
        csv=f"{RESULTS}/tables/costs.csv",
        md=report(f"{RESULTS}/tables/costs.md", caption="../docs/captions/costs.rst", category="Tables"),
    log:
        f"{LOGS}/costs-table.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("write_costs"),
    script:
        "../workflow_scripts/write_costs.py"


rule draw_figure2:
    input:
        metrics=rules.collect_metrics.output[0],
    output:
        svg=report(f"{RESULTS}/figures/figure2.svg", caption="../docs/captions/figure2.rst", category="Figures"),
        png=f"{RESULTS}/figures/figure2.png",
        csv=f"{RESULTS}/figures/figure2.csv",
        parquet=f"{RESULTS}/figures/figure2.parquet",
    log:
        f"{LOGS}/figure2.log",
    conda:
        "../envs/cpu.yaml"
    params:
        student=STUDY.curve_student,
        counts=all_curve_counts(),
        main=main_names(),
        code=code("draw_figure2"),
    script:
        "../workflow_scripts/draw_figure2.py"


rule draw_sampling:
    input:
        metrics=rules.collect_metrics.output[0],
    output:
        svg=report(f"{RESULTS}/figures/sampling.svg", caption="../docs/captions/sampling.rst", category="Figures"),
        png=f"{RESULTS}/figures/sampling.png",
        csv=f"{RESULTS}/figures/sampling.csv",
        parquet=f"{RESULTS}/figures/sampling.parquet",
    log:
        f"{LOGS}/sampling.log",
    conda:
        "../envs/cpu.yaml"
    params:
        system=f"{STUDY.curve_student}+synthetic",
        samplings=list(STUDY.samplings),
        counts=all_sampling_counts(),
        main=main_names(),
        code=code("draw_sampling"),
    script:
        "../workflow_scripts/draw_sampling.py"


rule draw_rows:
    input:
        metrics=rules.collect_metrics.output[0],
    output:
        svg=report(f"{RESULTS}/figures/rows.svg", caption="../docs/captions/rows.rst", category="Figures"),
        png=f"{RESULTS}/figures/rows.png",
        csv=f"{RESULTS}/figures/rows.csv",
    log:
        f"{LOGS}/rows.log",
    conda:
        "../envs/cpu.yaml"
    params:
        student=STUDY.curve_student,
        counts=all_rows_counts(),
        main=main_names(),
        code=code("draw_rows"),
    script:
        "../workflow_scripts/draw_rows.py"


rule draw_tradeoff:
    input:
        metrics=rules.collect_metrics.output[0],
        costs=rules.collect_costs.output[0],
    output:
        svg=report(f"{RESULTS}/figures/tradeoff.svg", caption="../docs/captions/tradeoff.rst", category="Figures"),
        png=f"{RESULTS}/figures/tradeoff.png",
        csv=f"{RESULTS}/figures/tradeoff.csv",
    log:
        f"{LOGS}/tradeoff.log",
    conda:
        "../envs/cpu.yaml"
    params:
        counts=full_counts(),
        main=main_names(),
        code=code("draw_tradeoff"),
    script:
        "../workflow_scripts/draw_tradeoff.py"


rule draw_details:
    input:
        test=every_dataset(rules.prepare_texts.output.test),
        predictions=[rules.distil_student.output.predictions.format(**run._asdict()) for run in detailed_runs(STUDY)],
        choices=every_export(rules.choose_student.output[0]),
    output:
        figures=expand(
            f"{RESULTS}/figures/{{dataset}}/{{name}}.{{kind}}",
            dataset=STUDY.datasets,
            name=("confusion", "per_class", "reliability"),
            kind=("csv", "svg", "png"),
        ),
        errors=expand(f"{RESULTS}/tables/{{dataset}}/errors.csv", dataset=STUDY.datasets),
    log:
        f"{LOGS}/details.log",
    conda:
        "../envs/cpu.yaml"
    params:
        datasets=list(STUDY.datasets),
        runs=[[run.dataset, f"{run.student}+{run.regime}"] for run in detailed_runs(STUDY)],
        code=code("draw_details"),
    script:
        "../workflow_scripts/draw_details.py"


rule write_report:
    input:
        # To show the tables and figures of further rules, add them here or in report_files.
        report_files,
        metrics=rules.collect_metrics.output[0],
        costs=rules.collect_costs.output[0],
        run_config=rules.write_run_config.output[0],
        train=every_dataset(rules.prepare_texts.output.train),
        test=every_dataset(rules.prepare_texts.output.test),
        details=[path for path in rules.draw_details.output if path.endswith(".csv")],
        exports=every_export(rules.export_student.output.description),
        deployed=every_export(rules.measure_export.output[0]),
        pages=every_export(rules.write_classifier_page.output[0]),
        templates=package_files("analysis/report_page/templates", "dataset.html", "page.css", "page.html"),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    conda:
        "../envs/cpu.yaml"
    params:
        datasets=list(STUDY.datasets),
        code=code("write_report"),
    script:
        "../workflow_scripts/write_report.py"

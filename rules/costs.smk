"""Costs: size on disk and latency of finished models, and one table of both.

Measurements differ from run to run: only the table and the figure of costs read them.
"""


rule measure_student:
    input:
        student_embeddings_files,
        model=timed_student,
        test=rules.prepare_texts.output.test,
    output:
        f"{RESULTS}/{{dataset}}/costs/students/{{student}}.json",
    log:
        f"{LOGS}/{{dataset}}/costs/students/{{student}}.log",
    priority: -10
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        embeddings=student_embeddings,
        code=code("measure_student"),
    script:
        "../workflow_scripts/measure_student.py"


rule measure_teacher:
    input:
        model=rules.finetune_teacher.output,
        test=rules.prepare_texts.output.test,
    output:
        f"{RESULTS}/{{dataset}}/costs/teachers/{{teacher}}.json",
    log:
        f"{LOGS}/{{dataset}}/costs/teachers/{{teacher}}.log",
    priority: -10
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        max_tokens=teacher_max_tokens,
        code=code("measure_teacher"),
    script:
        "../workflow_scripts/measure_teacher.py"


rule measure_baseline:
    input:
        timed_static,
        model=timed_baseline,
        test=rules.prepare_texts.output.test,
    output:
        f"{RESULTS}/{{dataset}}/costs/baselines/{{baseline}}.json",
    log:
        f"{LOGS}/{{dataset}}/costs/baselines/{{baseline}}.log",
    priority: -10
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        static=relative(Path(rules.distil_static.output[0]).parent),
        code=code("measure_baseline"),
    script:
        "../workflow_scripts/measure_baseline.py"


rule collect_costs:
    input:
        costs=cost_files,
        metrics=rules.collect_metrics.output[0],
    output:
        f"{RESULTS}/costs.parquet",
    log:
        f"{LOGS}/costs.log",
    conda:
        "../envs/cpu.yaml"
    params:
        systems=STUDY.systems,
        students=list(STUDY.students),
        counts=full_counts(),
        main=main_names(),
        code=code("collect_costs"),
    script:
        "../workflow_scripts/collect_costs.py"

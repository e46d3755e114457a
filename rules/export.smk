"""Export: from held-out scores of the candidates to the best student, calibrated, as ONNX files."""

from gendist.naming import EXPORTED_MODEL


rule cross_fit:
    input:
        student_embeddings_files,
        train=rules.prepare_texts.output.train,
        train_logits=student_train_logits,
        shards=student_shards,
        shard_logits=student_shard_logits,
        repeats=student_repeats,
        unlabelled=student_unlabelled,
        general=student_general,
    output:
        f"{RESULTS}/{{dataset}}/export/held_out/{{student}}/{{regime}}/{{variant}}/n{{n_synthetic}}.parquet",
    log:
        f"{LOGS}/{{dataset}}/export/held_out/{{student}}/{{regime}}/{{variant}}/n{{n_synthetic}}.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        student=student_settings,
        training=training_settings,
        embeddings=student_embeddings,
        folds=STUDY.export.folds,
        seed=STUDY.seed_list[0],
        code=code("cross_fit"),
    script:
        "../workflow_scripts/cross_fit.py"


rule choose_student:
    input:
        held_out=candidates_held_out,
    output:
        f"{RESULTS}/{{dataset}}/export/choice.json",
    log:
        f"{LOGS}/{{dataset}}/export/choice.log",
    conda:
        "../envs/cpu.yaml"
    params:
        runs=candidate_runs,
        code=code("choose_student"),
    script:
        "../workflow_scripts/choose_student.py"


rule export_student:
    input:
        candidates_embeddings_files,
        choice=rules.choose_student.output[0],
        models=candidates_models,
        test=rules.prepare_texts.output.test,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/{EXPORTED_MODEL}/",
            float32="model.onnx",
            int8="model.int8.onnx",
            tokenizer="tokenizer.json",
            description="gendist-model.json",
            provenance="gendist.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/export/model.log",
    conda:
        "../envs/cpu.yaml"
    params:
        runs=candidate_runs,
        embeddings=candidates_embeddings,
        text=dataset_text,
        code=code("export_student"),
    script:
        "../workflow_scripts/export_student.py"


rule write_classifier_page:
    input:
        model=rules.export_student.output.description,
        templates=package_files(
            "stages/export/classifier_page/templates",
            "classifier.js",
            "delimited.js",
            "model_data.js",
            "network.js",
            "notice.html",
            "page.css",
            "page.html",
            "start.js",
            "table_view.js",
            "text_view.js",
            "tokenizer.js",
        ),
    output:
        f"{RESULTS}/{{dataset}}/export/classifier.html",
    log:
        f"{LOGS}/{{dataset}}/export/classifier.log",
    conda:
        "../envs/cpu.yaml"
    params:
        code=code("write_classifier_page"),
    script:
        "../workflow_scripts/write_classifier_page.py"


rule measure_export:
    input:
        model=rules.export_student.output.description,
        test=rules.prepare_texts.output.test,
    output:
        f"{RESULTS}/{{dataset}}/costs/export/model.json",
    log:
        f"{LOGS}/{{dataset}}/costs/export/model.log",
    priority: -10
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        code=code("measure_export"),
    script:
        "../workflow_scripts/measure_export.py"


rule export:
    input:
        expand(rules.export_student.output.description, dataset=STUDY.datasets),
        expand(rules.write_classifier_page.output[0], dataset=STUDY.datasets),

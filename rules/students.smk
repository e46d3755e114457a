"""Students: from real rows, synthetic rows and the teacher's logits to a trained, evaluated CNN."""


rule distil_student:
    input:
        student_embeddings_files,
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        train_logits=student_train_logits,
        shards=student_shards,
        shard_logits=student_shard_logits,
        repeats=student_repeats,
        unlabelled=student_unlabelled,
        general=student_general,
    output:
        multiext(
            f"{RESULTS}/{{dataset}}/students/{{student}}/{{regime}}/{{variant}}/n{{n_synthetic}}/seed{{seed}}/",
            model="model.safetensors",
            student="student.json",
            predictions="predictions.parquet",
            timing="timing.json",
            metrics="metrics.json",
        ),
    log:
        f"{LOGS}/{{dataset}}/students/{{student}}/{{regime}}/{{variant}}/n{{n_synthetic}}/seed{{seed}}.log",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    params:
        student=student_settings,
        training=training_settings,
        embeddings=student_embeddings,
        code=code("distil_student"),
    script:
        "../workflow_scripts/distil_student.py"


if STUDY.joint_seeds:

    # All other seeds are trained alone.
    ruleorder: distil_seeds > distil_student

    use rule distil_student as distil_seeds with:
        output:
            model=joint_seeds(rules.distil_student.output.model),
            student=joint_seeds(rules.distil_student.output.student),
            predictions=joint_seeds(rules.distil_student.output.predictions),
            timing=joint_seeds(rules.distil_student.output.timing),
            metrics=joint_seeds(rules.distil_student.output.metrics),
        log:
            f"{LOGS}/{{dataset}}/students/{{student}}/{{regime}}/{{variant}}/n{{n_synthetic}}/seeds.log",
        resources:
            gpu=gpus_wanted,

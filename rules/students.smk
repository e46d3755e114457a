"""Students: real rows, synthetic rows and the teacher's logits to a trained, evaluated CNN."""


def variant_paths(pattern, wildcards):
    """Fill a path with the dataset and the names that the run's variant stands for."""
    return pattern.format(dataset=wildcards.dataset, **parse_variant(wildcards.variant)._asdict())


def student_embeddings_files(wildcards):
    """Tokenizer and vectors of the student's embeddings."""
    return embeddings_files(STUDY.students[wildcards.student].embeddings)


def student_train_logits(wildcards):
    """The teacher's logits of the real rows, where the regime has a teacher."""
    if wildcards.regime not in WITH_TEACHER:
        return []
    return variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/train.parquet", wildcards)


def student_shards(wildcards):
    """Shards of the synthetic rows, where the regime has any."""
    return run_shards(rules.generate_shard.output[0], wildcards)


def student_shard_logits(wildcards):
    """The teacher's logits of those shards."""
    return run_shards(rules.score_shard.output[0], wildcards)


def run_shards(pattern, wildcards):
    """Fill a shard path for every shard that a run reads."""
    if wildcards.regime not in WITH_SYNTHETIC:
        return []
    names = {"dataset": wildcards.dataset, **parse_variant(wildcards.variant)._asdict()}
    return shard_paths(pattern, names, wildcards.n_synthetic)


def student_settings(wildcards):
    """The student's config."""
    return settings(STUDY.students[wildcards.student])


def training_settings(wildcards):
    """The config of the run's way of training."""
    return settings(STUDY.trainings[parse_variant(wildcards.variant).training])


def student_embeddings(wildcards):
    """Folder of the student's embeddings."""
    return embeddings_folder(STUDY.students[wildcards.student].embeddings)


rule distil_student:
    input:
        student_embeddings_files,
        train=rules.prepare_texts.output.train,
        test=rules.prepare_texts.output.test,
        train_logits=student_train_logits,
        shards=student_shards,
        shard_logits=student_shard_logits,
        code=code("students"),
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
    params:
        student=student_settings,
        training=training_settings,
        embeddings=student_embeddings,
    threads: 1
    conda:
        "../envs/cpu.yaml"
    script:
        "../workflow_scripts/distil_student.py"

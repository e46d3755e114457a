"""Helpers of the rules that train students: what they learn from, and how."""


def variant_paths(pattern, wildcards):
    """Fill a path with the dataset and the names that the run's variant stands for."""
    return pattern.format(dataset=wildcards.dataset, **parse_variant(wildcards.variant)._asdict())


def student_embeddings_files(wildcards):
    """Tokenizer and vectors of the student's embeddings, and the weights that it starts from."""
    student = STUDY.students[wildcards.student]
    return embeddings_files(student.embeddings) + general_start_files(student)


def student_train_logits(wildcards):
    """The teacher's logits of the real rows, where the regime has a teacher."""
    if wildcards.regime not in WITH_TEACHER:
        return []
    return variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/train.parquet", wildcards)


def student_unlabelled(wildcards):
    """The unlabelled rows and the teacher's logits of them, where the regime has any."""
    if wildcards.regime not in WITH_UNLABELLED:
        return []
    logits = variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/unlabelled.parquet", wildcards)
    return [rules.prepare_unlabelled.output[0].format(dataset=wildcards.dataset), logits]


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
    values = settings(STUDY.trainings[parse_variant(wildcards.variant).training])
    if wildcards.regime not in WITH_SYNTHETIC:
        del values["keep"]  # nothing to choose from
    return values


def joint_seeds(pattern):
    """Fill a path for every seed that one job trains."""
    return expand(pattern, seed=STUDY.joint_seeds, allow_missing=True)


def student_repeats(wildcards):
    """What the synthetic rows repeat, where the run's way of training drops such rows."""
    names = parse_variant(wildcards.variant)
    if wildcards.regime not in WITH_SYNTHETIC or not STUDY.trainings[names.training].keep.reads_repeats:
        return []
    return rules.find_repeats.output[0].format(**{**wildcards, **names._asdict()})


def student_embeddings(wildcards):
    """Folder of the student's embeddings."""
    return embeddings_folder(STUDY.students[wildcards.student].embeddings)

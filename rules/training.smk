"""Helpers of the rules that train students: their inputs and settings."""


def variant_paths(pattern, wildcards):
    """Fill a path with the dataset and the names in the run's variant."""
    return pattern.format(dataset=wildcards.dataset, **parse_variant(wildcards.variant)._asdict())


def student_embeddings_files(wildcards):
    """Tokenizer and vectors of the student's embeddings, and its initial weights."""
    student = STUDY.students[wildcards.student]
    return embeddings_files(student.embeddings) + general_start_files(student)


def student_train_logits(wildcards):
    """The teacher's logits of the real rows, if the regime has a teacher."""
    if wildcards.regime not in WITH_TEACHER:
        return []
    return variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/train.parquet", wildcards)


def student_unlabelled(wildcards):
    """The unlabelled rows and their logits, if the regime uses them."""
    if wildcards.regime not in WITH_UNLABELLED:
        return []
    logits = variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/unlabelled.parquet", wildcards)
    return [rules.prepare_unlabelled.output[0].format(dataset=wildcards.dataset), logits]


def student_general(wildcards):
    """The general texts and the teacher's logits of them, where the student and the regime use any."""
    if wildcards.regime not in WITH_GENERAL or not STUDY.students[wildcards.student].general_rows:
        return []
    logits = variant_paths(f"{RESULTS}/{{dataset}}/logits/{{teacher}}/general.parquet", wildcards)
    return [rules.prepare_general.output[0].format(dataset=wildcards.dataset), logits]


def student_shards(wildcards):
    """Shards of the synthetic rows, if the regime uses them."""
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
    """The run's training settings."""
    values = settings(STUDY.trainings[parse_variant(wildcards.variant).training])
    if wildcards.regime not in WITH_SYNTHETIC:
        del values["keep"]  # filters synthetic rows only
    return values


def joint_seeds(pattern):
    """Fill a path for every seed that one job trains."""
    return expand(pattern, seed=STUDY.joint_seeds, allow_missing=True)


def student_repeats(wildcards):
    """Duplicates among the synthetic rows, if the training settings drop them."""
    names = parse_variant(wildcards.variant)
    if wildcards.regime not in WITH_SYNTHETIC or not STUDY.trainings[names.training].keep.reads_repeats:
        return []
    return rules.find_repeats.output[0].format(**{**wildcards, **names._asdict()})


def student_embeddings(wildcards):
    """Folder of the student's embeddings."""
    return embeddings_folder(STUDY.students[wildcards.student].embeddings)

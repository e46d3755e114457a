"""Helpers of the rules that load models: files and settings of embedded models, generators and teachers."""

# --- pocket ---


def embeddings_folder(name):
    """Folder of a student's subword tokenizer and vectors."""
    if name in EMBEDDINGS:
        return relative(EMBEDDINGS[name])
    if name.startswith("bpemb:"):
        return f"{RESULTS}/embeddings/{'-'.join(re.split('[:/]', name))}"
    return name


def embeddings_files(name):
    """Files of that folder, as inputs."""
    tokenizer = "sentencepiece.model" if name.startswith("bpemb:") else "tokenizer.json"
    return [f"{embeddings_folder(name)}/{file}" for file in (tokenizer, "vectors.safetensors")]


def general_texts_file():
    """The embedded general text."""
    return f"{relative(PACKAGE / 'nn' / 'pocket' / 'models')}/{GENERAL_TEXTS}"


def general_start_files(student):
    """Packaged weights that a student starts from."""
    models = relative(PACKAGE / "nn" / "pocket" / "models")
    return [f"{models}/students/{student.architecture}.safetensors"] if student.init == "general" else []


# --- generator ---


def generator_model(wildcards):
    """Folder or hub id of the model to finetune."""
    model = STUDY.generators[wildcards.generator].model
    return f"{RESULTS}/pocket/generator" if model == "pocket" else model


def generator_model_files(wildcards):
    """Files of the model to finetune."""
    if STUDY.generators[wildcards.generator].model == "pocket":
        return rules.unpack_pocket.output
    return model_files(generator_model(wildcards))


def generator_settings(wildcards):
    """The generator's config, with its model as a folder or hub id."""
    return settings(STUDY.generators[wildcards.generator], model=generator_model(wildcards))


def prompted_settings(wildcards):
    """Settings that determine the rows of a prompted generator, without concurrency, retries and prices."""
    values = STUDY.generators[wildcards.generator].requested
    return {key: values[key] for key in sorted(values)}


def generator_files(wildcards):
    """Weights or adapters of a finetuned generator."""
    finetune = rules.finetune_lora if wildcards.generator in LORA else rules.finetune_generator
    return expand(finetune.output, **wildcards)


def instruct_model_files(wildcards):
    """Files of a chat model that is not finetuned."""
    return model_files(STUDY.generators[wildcards.generator].model)


GIVEN_ROWS = f"{RESULTS}/{{dataset}}/generators/{{generator}}/rows.parquet"
GIVEN, INSTRUCT, ENDPOINT, LORA = (
    [name for name, generator in STUDY.generators.items() if generator.kind == kind]
    for kind in ("rows", "instruct", "endpoint", "lora")
)
"""Names of generators by kind: files of rows, local chat models, chat models behind a server, adapters."""
PROMPTED = INSTRUCT + ENDPOINT


NOT_FINETUNED = f"(?!(?:{'|'.join(GIVEN + PROMPTED)})/)" if GIVEN + PROMPTED else ""
"""Regular expression before a generator's name: excludes generators that are not finetuned."""


def given_file(wildcards):
    """The user's file of a generator's rows."""
    return rows_file(STUDY.generators[wildcards.generator].rows, wildcards.dataset)


def pool_source(wildcards):
    """File with the class requested for each row of a pool."""
    if wildcards.generator in GIVEN:
        return GIVEN_ROWS.format(**wildcards)
    return rules.finetune_generator.output[0].format(**wildcards)


# --- teacher ---


def teacher_model_files(wildcards):
    """Files of the teacher's model, if it is a local folder."""
    return model_files(STUDY.teachers[wildcards.teacher].model)


def teacher_settings(wildcards):
    """The teacher's config."""
    return settings(STUDY.teachers[wildcards.teacher])


# --- logits ---


def teacher_max_tokens(wildcards):
    """Truncation length of the teacher, in tokens."""
    return STUDY.teachers[wildcards.teacher].max_tokens

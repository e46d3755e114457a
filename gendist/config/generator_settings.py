"""Settings of the generator and its finetuning."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from gendist.config.base_settings import Seed, Settings, expand_home


class Generator(Settings):
    """A causal language model and how it is finetuned on the real texts.

    Defaults are the paper's (section 4.2) for GPT-2 345M.
    """

    model: str = "gpt2-medium"
    """`pocket` (ships with gendist), a transformers folder, or a hub id."""
    revision: str | None = None
    """Commit, tag or branch of a hub model."""
    epochs: Annotated[float, Field(gt=0)] = 1
    """Passes over the texts; with `held_out` the most that may be made."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Peak learning rate of Adam."""
    schedule: Literal["constant", "linear"] = "constant"
    """Constant, or linear decay to zero after the warm-up."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps over which the learning rate rises."""
    batch_size: Annotated[int, Field(ge=1)] = 1
    """Sequences per optimiser step."""
    unit: Literal["windows", "examples"] = "windows"
    """A training sequence: a window of the concatenated texts (as the paper's code), or one text."""
    window: Annotated[int, Field(ge=8)] = 1024
    """Tokens in a window, and the most of one text that is used; limited by the model's context."""
    trainable: Literal["all", "blocks"] = "blocks"
    """All weights, or the transformer blocks only, embeddings frozen (as the paper's code at this size)."""
    gradient_checkpointing: Literal["auto"] | bool = "auto"
    """Recompute activations in the backward pass to save memory; by default on a CPU, and on a GPU only where those of
    a batch would take more than half of the memory that weights, gradients and optimiser leave."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout while finetuning; null leaves what the model comes with."""
    held_out: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the real training rows kept out to stop at their best likelihood; 0 trains all epochs."""
    patience: Annotated[int, Field(ge=1)] = 1
    """Epochs without a better held-out likelihood before stopping."""
    conditional: bool = False
    """Finetune on the label's name before each text; rows are then generated from each label in turn, and the
    label is taken off again."""
    finetunes: Annotated[int, Field(ge=1)] = 1
    """Models finetuned from as many seeds and held-out rows; row i of a pool comes from model i mod this, or,
    if `conditional`, each round of the labels from the next model."""
    seed: Seed = 0
    """Seed of shuffling, windows, held-out rows and dropout; further models take the seeds that follow."""
    rows: str | None = None
    """Instead of every other key: a file of texts that another tool or model wrote (column `text`, and `label` for
    the class that each was asked for), with `{dataset}` for the dataset's name. Row i of the pool is row i of it."""

    @field_validator("rows")
    @classmethod
    def _expanded(cls, value: str | None) -> str | None:
        return None if value is None else expand_home(value)

    @model_validator(mode="after")
    def _rows_alone(self) -> "Generator":
        others = sorted(self.model_fields_set - {"rows"})
        if self.rows is not None and others:
            raise ValueError(f"'rows' takes texts as they are, without a model; remove {', '.join(others)}, or 'rows'")
        return self

    @model_serializer(mode="wrap")
    def _either_form(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Dump ``rows`` alone, or all but it: a record must be a valid config, and old ones stay as they are."""
        values: dict[str, Any] = dump(self)
        return {key: value for key, value in values.items() if (key == "rows") == (self.rows is not None)}


POCKET = Generator(
    model="pocket",
    epochs=6,
    learning_rate=3e-4,
    schedule="linear",
    warmup=0.1,
    batch_size=16,
    unit="examples",
    window=128,
    trainable="blocks",
    gradient_checkpointing=False,
    dropout=0.1,
    held_out=0.1,
    conditional=True,
)
"""What suits the pocket generator: more, larger steps, stopped by held-out real rows."""

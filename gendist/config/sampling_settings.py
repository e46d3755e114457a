"""Settings of sampling."""

from typing import Annotated, Literal

from pydantic import Field

from gendist.config.base_settings import Seed, Settings


class Sampling(Settings):
    """Sampling from the generator. The default is the paper's: the full distribution at temperature 1."""

    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Divisor of the logits."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Keep the k most probable tokens; 0 keeps all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep the most probable tokens that together reach this probability; 1 keeps all."""
    max_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest row; longer rows are truncated. Limited by the model's context."""
    prompt_words: Annotated[int, Field(ge=0)] = 0
    """Prompt each row with this many first words of a random real training row; 0 uses no prompt."""
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Rows generated in parallel; `auto` is 128 on a CPU and up to 2048 on a GPU, by its memory. It does not change
    rows generated on a CPU, and on a GPU only where two tokens nearly tie."""
    precision: Literal["auto", "float32", "int8"] = "auto"
    """Precision of the generator. On a CPU, int8 is several times as fast as float32. `auto` is int8 for GPT-2 and BERT
    (the embedded generator) if its divergence after finetuning is below 0.005 nats per token, otherwise float32. A GPU
    runs GPT-2 and BERT in bf16, or in float32 if set; its rows differ from a CPU's."""
    seed: Seed = 0
    """Seed of the pool: row i depends only on (seed, i)."""

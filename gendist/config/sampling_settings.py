"""Settings of sampling."""

from typing import Annotated, Literal

from pydantic import Field

from gendist.config.base_settings import Seed, Settings


class Sampling(Settings):
    """How rows are drawn from the generator. The default is the paper's: the full distribution at T = 1."""

    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Logits are divided by this."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Keep the k most probable tokens; 0 keeps all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep the most probable tokens that together reach this probability; 1 keeps all."""
    max_tokens: Annotated[int, Field(ge=1)] = 128
    """A row that has not ended by then is cut; limited by the model's context."""
    prompt_words: Annotated[int, Field(ge=0)] = 0
    """Each text starts from this many first words of a real training row, drawn at random; 0 starts from nothing."""
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Rows generated side by side, by default 128 on a CPU and up to 1024 on a GPU, as its memory allows; has no
    influence on what a CPU generates, and on a GPU only where two tokens nearly tie."""
    precision: Literal["auto", "float32", "int8"] = "auto"
    """What the generator computes in: int8 is several times as fast on a CPU and writes the same texts on every
    machine; its probabilities differ a little from those of float32. By default int8 for GPT-2 and BERT (the embedded
    generator) where they differ by less than 0.005 nats per token after finetuning, if need be with 16-bit inputs of
    some layers; float32 elsewhere. A GPU runs GPT-2 and BERT in bf16, or in float32 if this says so; its rows differ
    from a CPU's, and a shard's provenance names the GPU that made it."""
    seed: Seed = 0
    """Seed of the pool: row i depends on (seed, i) alone."""

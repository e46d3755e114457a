"""Tokenizer of the pocket generator: the encoder's WordPiece, with start and end tokens of a text."""

from pathlib import Path

from tokenizers import Tokenizer, processors

from gendist.errors import GendistError

START, END, PADDING, UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[UNK]"
"""BERT has no begin- and end-of-text tokens; training and sampling use START and END."""


def generator_tokenizer(encoder: Path) -> Tokenizer:
    """Load an encoder's WordPiece tokenizer without truncation and padding; only START is added to a text.

    Args:
        encoder: transformers folder of the encoder.

    Raises:
        GendistError: if the vocabulary lacks START or END.
    """
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    start, _ = boundary_ids(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, start)])
    return tokenizer


def boundary_ids(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the ids of START and END.

    Raises:
        GendistError: if the vocabulary lacks one of them.
    """
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    if start is None or end is None:
        raise GendistError(f"the base encoder's tokenizer has no {START} and {END} tokens")
    return start, end

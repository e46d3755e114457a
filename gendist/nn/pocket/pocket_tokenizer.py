"""The generator's tokenizer: the encoder's WordPiece, with the special tokens that frame every text."""

from pathlib import Path

from tokenizers import Tokenizer, processors

from gendist.errors import GendistError

START, END, PADDING, UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[UNK]"
"""An encoder has no begin- and end-of-text tokens; START and END serve as such in training and sampling."""


def generator_tokenizer(encoder: Path) -> Tokenizer:
    """Load an encoder's WordPiece without truncation and padding, prepending START alone.

    Args:
        encoder: transformers folder of the encoder.

    Raises:
        GendistError: if the vocabulary lacks START or END.
    """
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    start, _ = boundaries(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, start)])
    return tokenizer


def boundaries(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the ids of START and END.

    Raises:
        GendistError: if the vocabulary lacks one of them.
    """
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    if start is None or end is None:
        raise GendistError(f"the base encoder's tokenizer has no {START} and {END} tokens to frame texts with")
    return start, end

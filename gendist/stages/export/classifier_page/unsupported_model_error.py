"""The error for an exported model that a page cannot run."""

from gendist.errors import GendistError


class UnsupportedModelError(GendistError):
    """The network or the tokenizer has no implementation in the page."""

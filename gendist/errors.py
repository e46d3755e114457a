"""The one exception that users are meant to see."""


class GendistError(Exception):
    """A mistake in the input or the config, told in one line.

    The message names what is wrong, where (file, row, column or config key)
    and what is accepted instead. Scripts print it without a traceback.
    """

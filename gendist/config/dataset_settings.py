"""Settings of the datasets."""

import codecs
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from gendist.config.base_settings import Seed, Settings, expand_home

LATER = ("delimiter", "quoting", "header", "labels", "unlabelled", "unlabelled_rows")
"""Keys that earlier versions did not have."""


class Dataset(Settings):
    """One dataset: where its texts are, and how many of them the study uses."""

    train: str | None = None
    """Training rows: a .csv, .tsv, .jsonl or .parquet file, relative to the working directory."""
    test: str | None = None
    """Test rows, same formats; only the evaluation reads their labels."""
    hub: str | None = None
    """Instead of `train` and `test`: a dataset id on the Hugging Face hub."""
    hub_config: str | None = None
    """Configuration name of the hub dataset."""
    revision: str | None = None
    """Commit, tag or branch of the hub dataset."""
    train_split: str = "train"
    """Split of the hub dataset that holds the training rows."""
    test_split: str = "test"
    """Split of the hub dataset that holds the test rows."""
    encoding: str = "utf-8"
    """Encoding of .csv, .tsv and .jsonl files: `utf-8`, `utf-16`, `cp1252` (Windows, western Europe), ...; a byte-order
    mark outweighs it."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Character between the columns of .csv and .tsv files; null decides among comma, semicolon, tab and `|`."""
    quoting: Literal["auto", "standard", "none"] = "auto"
    """Whether quotes in .csv and .tsv files enclose fields (`standard`) or are letters (`none`); `auto` decides by the
    lines of the file."""
    header: bool = True
    """Whether .csv and .tsv files begin with the names of the columns; without them, columns are called `"1"`, `"2"`,
    ..."""
    text: Annotated[list[str], Field(min_length=1)] = ["text"]
    """Text column, or a list of columns to be joined."""
    separator: str = " "
    """What stands between joined columns."""
    label: str = "label"
    """Label column: names, or integers."""
    labels: dict[str, str] = {}
    """Class names by the labels that stand for them, to merge spellings: `{billing: Billing}`."""
    label_names: Annotated[list[str], Field(min_length=2)] | None = None
    """Names of integer labels in order, where the source does not carry them."""
    train_per_class: Annotated[int, Field(ge=2)] | None = 100
    """Training rows sampled from each class; null takes all (paper section 4.1: 100)."""
    sample_seed: Seed = 0
    """Seed of that sampling."""
    synthetic: Annotated[int, Field(ge=1)] = 5000
    """Synthetic rows of the generation-distillation systems (paper: 13,600 or 25,000)."""
    unlabelled: str | None = None
    """Real texts without labels, for the systems `+unlabelled` and `+gendist+unlabelled`: a file of the same formats
    with the same text columns, read as `train`; a label column is not read. Rows whose text is a test or training text
    are dropped."""
    unlabelled_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows drawn from `unlabelled` with `sample_seed`; null draws as many as `synthetic`."""

    @field_validator("train", "test", "unlabelled")
    @classmethod
    def _expanded(cls, value: str | None) -> str | None:
        return None if value is None else expand_home(value)

    @field_validator("text", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if isinstance(value, str):
            return [value]
        if isinstance(value, list):
            return value
        raise ValueError("expected the name of a column (a number in quotes), or a list of names")

    @field_validator("delimiter")
    @classmethod
    def _known_delimiter(cls, value: str | None) -> str | None:
        if value is not None and (value in '"\r\n' or not (value.isprintable() or value == "\t")):
            raise ValueError('expected one character, no quote or line break; a tab is written "\\t"')
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
            "".encode(value)  # some codecs, such as hex, are none of text
        except (LookupError, ValueError):  # a ValueError for a NUL or a name that is too long
            raise ValueError(f"'{value}' is no text encoding that Python knows, such as utf-8 or cp1252") from None
        return value

    @model_validator(mode="after")
    def _one_source(self) -> "Dataset":
        if self.hub is None and (self.train is None or self.test is None):
            raise ValueError("needs both 'train' and 'test' (files), or 'hub' (a dataset id)")
        if self.hub is not None and (self.train is not None or self.test is not None):
            raise ValueError("takes either 'train' and 'test' or 'hub', not both")
        if self.hub is None:
            for key in ("hub_config", "revision"):
                if getattr(self, key) is not None:
                    raise ValueError(f"'{key}' belongs to 'hub', which is not set; leave it out")
        if not self.header and not all(name.isdecimal() for name in (*self.text, self.label)):
            raise ValueError(
                "header is false: name the columns of 'text' and 'label' by their numbers, \"1\", \"2\", ..."
            )
        if len(set(self.text)) < len(self.text):
            raise ValueError(f"text names a column twice: {', '.join(self.text)}")
        if self.unlabelled is None and self.unlabelled_rows is not None:
            raise ValueError("'unlabelled_rows' belongs to 'unlabelled', which is not set; leave it out")
        if self.label in self.text:
            raise ValueError(f"column '{self.label}' cannot be both text and label")
        if self.label_names is not None:
            if len(set(self.label_names)) < len(self.label_names):
                raise ValueError(f"label_names names a class twice: {', '.join(self.label_names)}")
            if not all(name.strip() for name in self.label_names):
                raise ValueError("label_names holds an empty name")
        return self

    @model_serializer(mode="wrap")
    def _without_later(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave keys of later versions out where they have their defaults.

        What was made before there were such keys is then not taken for outdated.
        """
        values: dict[str, Any] = dump(self)
        defaults = {key: type(self).model_fields[key].default for key in LATER}
        return {key: value for key, value in values.items() if key not in LATER or value != defaults[key]}

    @property
    def n_unlabelled(self) -> int:
        """Unlabelled rows that the study uses; 0 without such a file."""
        return 0 if self.unlabelled is None else self.unlabelled_rows or self.synthetic

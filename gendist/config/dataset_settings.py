"""Settings of the datasets."""

import codecs
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from gendist.config.base_settings import Seed, Settings, expand_input_path

OMITTED_DEFAULTS = ("delimiter", "quoting", "header", "labels", "unlabelled", "unlabelled_rows")
"""Keys added by later versions; omitted from records if they have their defaults."""


class Dataset(Settings):
    """A dataset: its files, and how many rows the study uses."""

    train: str | None = None
    """Training rows: a .csv, .tsv, .jsonl or .parquet file, relative to the working directory."""
    test: str | None = None
    """Test rows, in the same formats; only the evaluation reads their labels."""
    hub: str | None = None
    """Dataset id on the Hugging Face hub, instead of `train` and `test`."""
    hub_config: str | None = None
    """Configuration name of the hub dataset."""
    revision: str | None = None
    """Commit, tag or branch of the hub dataset."""
    train_split: str = "train"
    """Training split of the hub dataset."""
    test_split: str = "test"
    """Test split of the hub dataset."""
    encoding: str = "utf-8"
    """Encoding of .csv, .tsv and .jsonl files: `utf-8`, `utf-16`, `cp1252` (Windows, western Europe), ...; a byte-order
    mark overrides it."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Delimiter of .csv and .tsv files; null detects comma, semicolon, tab or `|`."""
    quoting: Literal["auto", "standard", "none"] = "auto"
    """Whether quotes in .csv and .tsv files enclose fields (`standard`) or are literal (`none`); `auto` detects it."""
    header: bool = True
    """Whether .csv and .tsv files have a header; without one, columns are named `"1"`, `"2"`, ..."""
    text: Annotated[list[str], Field(min_length=1)] = ["text"]
    """Text column, or a list of columns to join."""
    separator: str = " "
    """Separator between joined columns."""
    label: str = "label"
    """Label column: names, or integers."""
    labels: dict[str, str] = {}
    """Class names by label, to merge spellings: `{billing: Billing}`."""
    label_names: Annotated[list[str], Field(min_length=2)] | None = None
    """Names of integer labels, in order, if the source has none."""
    train_per_class: Annotated[int, Field(ge=2)] | None = 100
    """Training rows sampled per class; null uses all (paper section 4.1: 100)."""
    sample_seed: Seed = 0
    """Seed of this sampling."""
    synthetic: Annotated[int, Field(ge=1)] = 5000
    """Synthetic rows of the generation-distillation systems (paper: 13,600 or 25,000)."""
    unlabelled: str | None = None
    """File of real texts without labels, for the systems `+unlabelled` and `+gendist+unlabelled`, with the formats and
    text columns of `train`; a label column is ignored. Rows that repeat a test or training text are dropped."""
    unlabelled_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows sampled from `unlabelled` with `sample_seed`; null samples as many as `synthetic`."""

    @field_validator("train", "test", "unlabelled")
    @classmethod
    def _expanded(cls, value: str | None) -> str | None:
        return None if value is None else expand_input_path(value)

    @field_validator("text", mode="before")
    @classmethod
    def _to_list(cls, value: object) -> object:
        if isinstance(value, str):
            return [value]
        if isinstance(value, list):
            return value
        raise ValueError("expected the name of a column (a number in quotes), or a list of names")

    @field_validator("delimiter")
    @classmethod
    def _known_delimiter(cls, value: str | None) -> str | None:
        if value is not None and (value in '"\r\n' or not (value.isprintable() or value == "\t")):
            raise ValueError('expected one character, not a quote or a line break; a tab is written "\\t"')
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
            "".encode(value)  # some codecs, such as hex, do not encode text
        except (LookupError, ValueError):  # ValueError: the name has a NUL or is too long
            raise ValueError(f"'{value}' is not a text encoding of Python, such as utf-8 or cp1252") from None
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
                    raise ValueError(f"'{key}' belongs to 'hub', which is not set; remove it")
        if self.hub is not None and self.train_split == self.test_split:
            raise ValueError(f"train_split and test_split are both '{self.test_split}'; expected different rows")
        if not self.header and not all(name.isdecimal() for name in (*self.text, self.label)):
            raise ValueError("header is false: give the columns of 'text' and 'label' as numbers, \"1\", \"2\", ...")
        if len(set(self.text)) < len(self.text):
            raise ValueError(f"text repeats a column: {', '.join(self.text)}")
        if self.unlabelled is None and self.unlabelled_rows is not None:
            raise ValueError("'unlabelled_rows' belongs to 'unlabelled', which is not set; remove it")
        if self.label in self.text:
            raise ValueError(f"column '{self.label}' cannot be both text and label")
        if self.label_names is not None:
            if len(set(self.label_names)) < len(self.label_names):
                raise ValueError(f"label_names repeats a class: {', '.join(self.label_names)}")
            if not all(name.strip() for name in self.label_names):
                raise ValueError("label_names contains an empty name")
        return self

    @model_serializer(mode="wrap")
    def _omit_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit keys added by later versions if they have their defaults, so that older results stay up to date."""
        values: dict[str, Any] = dump(self)
        defaults = {key: type(self).model_fields[key].default for key in OMITTED_DEFAULTS}
        return {key: value for key, value in values.items() if key not in OMITTED_DEFAULTS or value != defaults[key]}

    @property
    def n_unlabelled(self) -> int:
        """Unlabelled rows that the study uses; 0 without `unlabelled`."""
        return 0 if self.unlabelled is None else self.unlabelled_rows or self.synthetic

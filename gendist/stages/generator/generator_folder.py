"""Layout of a generator's folder: a transformers folder with a record in its config, and folders of further models."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from gendist.config.base_settings import Settings
from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json
from gendist.nn.int8_options import Int8Options

KEY = "gendist"
"""Key of the record in ``config.json``, a declared output of the rules: a changed record reruns what depends on it."""


class GeneratorRecord(Settings):
    """Generation settings of a generator's folder; the defaults apply to a folder without a record."""

    label_names: tuple[str, ...] = ()
    """Labels that rows are prompted with, in turn; empty if the generator is not conditional."""
    members: Annotated[int, Field(ge=1)] = 1
    """Number of models in the folder."""
    int8: bool = False
    """Whether calibration accepted int8 for all models."""
    two_pass: tuple[str, ...] = ()
    """Kinds of linear layers with 16-bit inputs in int8."""
    stochastic: bool = False
    """Whether int8 weights are rounded stochastically."""
    dtype: Literal["auto", "float32", "bf16"] = "float32"
    """Type of the weights in memory."""

    @model_serializer(mode="wrap")
    def _omit_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit defaults of newer keys: records equal those of older versions."""
        defaults = {"dtype": "float32", "stochastic": False}
        return {key: value for key, value in dump(self).items() if defaults.get(key) != value}

    @property
    def int8_options(self) -> Int8Options:
        """Return the options of int8."""
        return Int8Options(self.two_pass, self.stochastic)

    def label_of(self, row: int) -> int:
        """Return the label of a row's prompt, as an index into ``label_names``."""
        return row % max(1, len(self.label_names))

    def member_of(self, row: int) -> int:
        """Return the index of the model that generates a row of the pool.

        One model generates a row for each label before the next model does: with row mod members, each of two models
        would generate two of four labels only.
        """
        return row // max(1, len(self.label_names)) % self.members


def member_folder(folder: Path, member: int) -> Path:
    """Return the transformers folder of a model: the generator's folder itself for the first."""
    return folder / f"member-{member}" if member else folder


def label_prompt(name: str) -> str:
    """Return the prompt before a text with this label."""
    return f"{name}:"


def write_record(folder: Path, record: GeneratorRecord) -> None:
    """Write the record to a folder's ``config.json``; a default record is not written."""
    config = read_json(folder / "config.json")
    # A generator that is finetuned again still has the record of its first finetuning.
    if config.pop(KEY, None) is None and record == GeneratorRecord():
        return
    if record != GeneratorRecord():
        config[KEY] = record.model_dump(mode="json")
    write_json(folder / "config.json", config)


def read_record_file(file: Path) -> GeneratorRecord:
    """Read the record from a generator's ``config.json``.

    Raises:
        GendistError: if the file is missing, or the file or the record is damaged.
    """
    content = read_json(file).get(KEY, {})
    try:
        return GeneratorRecord.model_validate(content)
    except ValidationError:
        raise GendistError(
            f"{file}: key '{KEY}' is {content!r}; expected 'label_names' (a list) and 'members' (1 or more)"
        ) from None


def read_record(folder: Path) -> GeneratorRecord:
    """Read the record of a finetuned generator.

    Raises:
        GendistError: if the folder is not a transformers folder, the record is damaged, or a model is missing.
    """
    from gendist.nn.pretrained import resolve_model_path  # importing transformers takes seconds

    file = Path(resolve_model_path(str(folder))) / "config.json"
    record = read_record_file(file)
    for member in range(record.members):
        if not (member_folder(folder, member) / "config.json").is_file():
            raise GendistError(
                f"{member_folder(folder, member)}: missing, but {file} lists {record.members} models; "
                "delete the folder and rerun"
            )
    return record

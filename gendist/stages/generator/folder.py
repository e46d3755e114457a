"""What a generator's folder holds beyond one transformers model: label names to prompt with, and further models."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from gendist.config.base_settings import Settings
from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json

KEY = "gendist"
"""Key of the record in ``config.json``: a file that the rules declare, so that another record is another generator."""


class Record(Settings):
    """How rows are generated from a folder. The default is that of a folder without a record."""

    label_names: tuple[str, ...] = ()
    """Labels whose names the rows are prompted with in turn; none if the model saw no labels."""
    members: Annotated[int, Field(ge=1)] = 1
    """Models in the folder."""
    int8: bool = False
    """Whether the models may be run in 8-bit integers: their probabilities are nearly the same then."""
    two_pass: tuple[str, ...] = ()
    """Kinds of linear layers whose inputs are rounded to 16 bits when they are."""

    def label_of(self, row: int) -> int:
        """Return the label that a row of the pool is prompted with, as an index into ``label_names``."""
        return row % max(1, len(self.label_names))

    def member_of(self, row: int) -> int:
        """Return the model that generates a row of the pool.

        A round of labels stays with one model: with row mod members, four labels and two models
        would leave each model two labels only.
        """
        return row // max(1, len(self.label_names)) % self.members


def member_folder(folder: Path, member: int) -> Path:
    """Return the transformers folder of one model: the folder itself for the first."""
    return folder / f"member-{member}" if member else folder


def label_prompt(name: str) -> str:
    """Return what stands before a text of a label."""
    return f"{name}:"


def write_record(folder: Path, record: Record) -> None:
    """Write the record into the ``config.json`` of a folder; the default leaves no trace."""
    config = read_json(folder / "config.json")
    # A model that is finetuned again may bring the record of its first finetuning.
    if config.pop(KEY, None) is None and record == Record():
        return
    if record != Record():
        config[KEY] = record.model_dump(mode="json")
    write_json(folder / "config.json", config)


def record_in(file: Path) -> Record:
    """Read the record in the ``config.json`` of a generator.

    Raises:
        GendistError: if the file is missing, or it or the record is damaged.
    """
    content = read_json(file).get(KEY, {})
    try:
        return Record.model_validate(content)
    except ValidationError:
        raise GendistError(
            f"{file}: key '{KEY}' is {content!r}; expected 'label_names' (a list) and 'members' (1 or more)"
        ) from None


def read_record(folder: Path) -> Record:
    """Read the record of a finetuned generator.

    Raises:
        GendistError: if the folder is no transformers folder, the record is damaged, or a model is missing.
    """
    from gendist.nn.pretrained import locate  # takes seconds to load

    file = Path(locate(str(folder))) / "config.json"
    record = record_in(file)
    for member in range(record.members):
        if not (member_folder(folder, member) / "config.json").is_file():
            raise GendistError(
                f"{member_folder(folder, member)}: missing, but {file} counts {record.members} models; "
                "delete the folder and run again"
            )
    return record

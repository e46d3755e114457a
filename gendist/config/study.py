"""The whole config as one typed model."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from gendist.config.architecture_names import unknown_architecture
from gendist.config.base_settings import Device, Name, Seed, Settings, expand_home
from gendist.config.dataset_settings import Dataset
from gendist.config.export_settings import Export
from gendist.config.generator_settings import POCKET, Generator
from gendist.config.sampling_settings import Sampling
from gendist.config.student_settings import PAPER_TRAINING, Student, Training
from gendist.config.teacher_settings import MINILM, Teacher
from gendist.config.tracking_settings import Tracking
from gendist.naming import BASELINES, TEACHER, WITH_UNLABELLED, System, parse_system

PAPER_COUNTS = (500, 1000, 2500, 5000, 10_000, 25_000)
PAPER_SYSTEMS = (
    "tfidf-svm",
    "fasttext",
    "teacher",
    "blend",
    "blend+dist",
    "kim",
    "res",
    "kim+dist",
    "res+dist",
    "kim+gendist",
    "res+gendist",
)
"""The rows of the paper's Table 1, in its order."""

GENERAL_SYSTEMS = (
    "kim-general",
    "res-general",
    "kim-general+dist",
    "res-general+dist",
    "kim-general+gendist",
    "res-general+gendist",
)
"""Further rows of Table 1 by default: students that start from general distillation."""

UNLABELLED_SYSTEMS = (
    "kim+unlabelled",
    "res+unlabelled",
    "kim-general+unlabelled",
    "kim+gendist+unlabelled",
    "res+gendist+unlabelled",
    "kim-general+gendist+unlabelled",
)
"""Further rows of Table 1 by default, where a dataset has unlabelled rows."""

SHARDS = 100_000
"""Shards have numbers of five digits."""
SEEDS = 1000
FOLDERS = ("costs", "embeddings", "figures", "logs", "pocket", "tables", "tracking")
"""Folders of the results that belong to no dataset."""


class Study(Settings):
    """A study: datasets, models, and the systems that are compared.

    The first entry of `generators`, `samplings`, `teachers` and `trainings` is the one
    that Tables 1 and 2 and Figure 2 use; further ones are named variants.
    """

    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    """Datasets by name."""
    generators: Annotated[dict[Name, Generator], Field(min_length=1)] = {"pocket": POCKET}
    """Generators by name; by default the embedded one."""
    samplings: Annotated[dict[Name, Sampling], Field(min_length=1)] = {
        "nucleus": Sampling(top_p=0.95),
        "full": Sampling(),
        "cool": Sampling(temperature=0.7),
    }
    """Sampling strategies by name; those after the first appear in the sampling comparison. `full` is the paper's."""
    teachers: Annotated[dict[Name, Teacher], Field(min_length=1)] = {"minilm": MINILM}
    """Teachers by name; by default the embedded one."""
    students: Annotated[dict[Name, Student], Field(min_length=1)] = {
        "kim": Student(),
        "res": Student(architecture="res"),
        "blend": Student(architecture="blend", distillation_loss="mae"),
        "bilstm": Student(architecture="bilstm", filters=150),
        "bag": Student(architecture="bag", filters=300),
        "kim-general": Student(init="general"),
        "res-general": Student(architecture="res", init="general"),
    }
    """Students by name; `bilstm` and `bag` run where `systems` names them."""
    trainings: Annotated[dict[Name, Training], Field(min_length=1)] = {
        "default": Training(),
        "paper": PAPER_TRAINING,
    }
    """Ways of training the students, by name."""
    systems: Annotated[list[str], Field(min_length=1)] = [*PAPER_SYSTEMS, *GENERAL_SYSTEMS]
    """Rows of Table 1: `tfidf-svm`, `fasttext`, `teacher`, a student, or a student + a regime; off by default are
    `encoder-lr` and, with the extras of these names installed, `model2vec` and `setfit` (docs/baselines.md). Where a
    dataset has `unlabelled` rows, `kim` and `res` with `+unlabelled` and `+gendist+unlabelled` follow by default."""
    curve_student: Name = "kim"
    """Student of Figure 2, Table 2 and the sampling comparison."""
    counts: list[Annotated[int, Field(ge=1)]] = list(PAPER_COUNTS)
    """Synthetic rows along Figure 2; those above a dataset's `synthetic` are left out, which is itself added."""
    sampling_rows: Annotated[int, Field(ge=1)] = 1000
    """Synthetic rows of the sampling comparison, at most a dataset's `synthetic`."""
    seeds: Annotated[list[Seed], Field(min_length=1)] | Annotated[int, Field(ge=1, le=SEEDS)] = 5
    """Seeds of the students: a number of them, or a list."""
    shard_rows: Annotated[int, Field(ge=1)] = 500
    """Rows in a shard: the unit of generation and scoring jobs."""
    device: Device = "auto"
    """Where language models are finetuned, generate and score: on a GPU if the machine has one, each job on a free one
    of its own; `cpu` never; `gpu` or not at all. Changing it reruns nothing that is finished."""
    seeds_together: bool = False
    """Whether one job trains all seeds of a student, side by side on a GPU where `device` gives it one; if not, each
    seed is a job of one CPU core. Changing it reruns nothing that is finished; one more seed then trains the others
    again (docs/scale.md)."""
    shards_together: bool = False
    """Whether one job generates ten shards, and another scores them: enough rows to fill a GPU, whose start-up is paid
    once. Rows and files stay as they are; a pool is filled up to a multiple of ten shards (docs/scale.md)."""
    export: Export = Export()
    """The student to deploy: whether it is exported, and how it is chosen."""
    tracking: Tracking = Tracking()
    """Where finished runs are entered besides the results."""
    results: Annotated[str, Field(max_length=1000, json_schema_extra={"pattern": r"^[^\s{}\x00-\x1f]+$"})] = "results"
    """Folder of everything that the study writes; `~` is the home folder."""

    @field_validator("results")
    @classmethod
    def _usable_path(cls, value: str) -> str:
        path = expand_home(value)
        if not re.fullmatch(r"[^\s{}\x00-\x1f]+", path):
            found = f" (here '{path}')" if path != value else ""
            raise ValueError(
                f"expected a path without spaces, braces and control characters{found}, which Snakemake and shells "
                "would take for something else"
            )
        return path

    @model_validator(mode="before")
    @classmethod
    def _default_systems(cls, content: Any) -> Any:
        """Take the default rows of Table 1 that the config's students and datasets allow."""
        if not isinstance(content, Mapping) or "systems" in content:
            return content
        datasets = content.get("datasets")
        entries = datasets.values() if isinstance(datasets, Mapping) else ()
        with_unlabelled = any(_value(entry, "unlabelled") is not None for entry in entries)
        further = [*GENERAL_SYSTEMS, *(UNLABELLED_SYSTEMS if with_unlabelled else ())]
        students = content.get("students")
        if isinstance(students, Mapping):
            further = [name for name in further if name.partition("+")[0] in (*students, "kim", "res")]
        return {**content, "systems": [*PAPER_SYSTEMS, *further]}

    @model_validator(mode="after")
    def _known_names(self) -> "Study":
        self._require_apart()
        for name, student in self.students.items():
            if problem := unknown_architecture(student.architecture):
                raise ValueError(f"students.{name}.architecture: {problem}")
        for system in self.systems:
            parse_system(system, self.students)
        for system in self.export.systems or ():
            try:
                chosen = parse_system(system, self.students)
            except ValueError as error:
                raise ValueError(f"export.systems: {error}") from None
            if chosen.student is None:
                raise ValueError(f"export.systems: '{system}' is no student; name some such as kim+gendist")
        self._require_unlabelled()
        self._require_rows_apart()
        if self.curve_student not in self.students:
            raise ValueError(f"curve_student '{self.curve_student}' is not one of students: {', '.join(self.students)}")
        for names, what in (
            (self.systems, "systems"),
            (self.counts, "counts"),
            (self.seed_list, "seeds"),
            (self.export.systems or [], "export.systems"),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} names an entry twice: {', '.join(map(str, names))}")
        for name, dataset in self.datasets.items():
            if dataset.synthetic > SHARDS * self.shard_rows:
                raise ValueError(
                    f"datasets.{name}.synthetic is {dataset.synthetic}, which is more than {SHARDS:,} shards of "
                    f"{self.shard_rows} rows; raise shard_rows"
                )
        return self

    def _require_apart(self) -> None:
        """Refuse names that would mean two things, or share a folder where case does not count."""
        for section in ("datasets", "generators", "samplings", "teachers", "students", "trainings"):
            seen: dict[str, str] = {}
            for name in getattr(self, section):
                other = seen.setdefault(name.lower(), name)
                if other != name:
                    raise ValueError(f"{section}: '{other}' and '{name}' differ in case alone, which some disks ignore")
        for name in self.datasets:
            if name.lower() in FOLDERS:
                raise ValueError(f"datasets: '{name}' is a folder of the results that belongs to no dataset; rename it")
        for name in self.students:
            if name in (*BASELINES, TEACHER):
                raise ValueError(f"students: '{name}' is the name of another system; rename the student")

    def _require_unlabelled(self) -> None:
        """Refuse systems of unlabelled rows where no dataset has any, and exports that leave a dataset without one."""
        lacking = [name for name, dataset in self.datasets.items() if dataset.unlabelled is None]
        for key, systems in (("systems", self.systems), ("export.systems", self.export.systems or [])):
            parsed = [parse_system(name, self.students) for name in systems]
            wanting = [system.name for system in parsed if system.regime in WITH_UNLABELLED]
            nowhere = len(lacking) == len(self.datasets)
            if wanting and lacking and (nowhere or (key == "export.systems" and len(wanting) == len(parsed))):
                raise ValueError(f"{key}: '{wanting[0]}' needs 'unlabelled' (a file), not set in datasets.{lacking[0]}")

    def _require_rows_apart(self) -> None:
        """Refuse one file of given rows for several datasets."""
        for name, generator in self.generators.items():
            if generator.rows is not None and len(self.datasets) > 1 and "{dataset}" not in generator.rows:
                raise ValueError(
                    f"generators.{name}.rows: one file for {len(self.datasets)} datasets; put {{dataset}} into its "
                    "name, which stands for the dataset's"
                )

    @property
    def seed_list(self) -> list[int]:
        """The seeds, one by one."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def parsed_systems(self) -> list[System]:
        """The rows of Table 1 as (name, student, regime)."""
        return [parse_system(name, self.students) for name in self.systems]

    @property
    def generator(self) -> str:
        """Name of the main generator."""
        return next(iter(self.generators))

    @property
    def sampling(self) -> str:
        """Name of the main sampling strategy."""
        return next(iter(self.samplings))

    @property
    def teacher(self) -> str:
        """Name of the main teacher."""
        return next(iter(self.teachers))

    @property
    def training(self) -> str:
        """Name of the main way of training."""
        return next(iter(self.trainings))

    @property
    def compared_samplings(self) -> list[str]:
        """Names of the samplings that are compared; none of a single one, or where the main generator has `rows`."""
        given = self.generators[self.generator].rows is not None
        return [] if given or len(self.samplings) == 1 else list(self.samplings)

    @property
    def with_unlabelled(self) -> list[str]:
        """Names of the datasets that have unlabelled rows."""
        return [name for name, dataset in self.datasets.items() if dataset.unlabelled is not None]

    def curve_counts(self, dataset: str) -> list[int]:
        """Synthetic counts of Figure 2 for one dataset, ascending, its full count last."""
        return self._counts_to(self.datasets[dataset].synthetic)

    def unlabelled_counts(self, dataset: str) -> list[int]:
        """Unlabelled counts of the figure of rows for one dataset, ascending, its full count last."""
        return self._counts_to(self.datasets[dataset].n_unlabelled)

    def _counts_to(self, full: int) -> list[int]:
        return sorted({c for c in self.counts if c < full} | {full})


def _value(entry: Any, key: str) -> Any:
    """Return a value of an entry that is a mapping or a model already."""
    return entry.get(key) if isinstance(entry, Mapping) else getattr(entry, key, None)

"""The study: the whole config as one typed model."""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StrictBool, field_validator, model_validator

from gendist.config.architecture_names import unknown_architecture
from gendist.config.base_settings import Device, Name, Seed, Settings, collapse_slashes, expand_home
from gendist.config.dataset_settings import Dataset
from gendist.config.default_systems import GENERAL_SYSTEMS, PAPER_SYSTEMS, default_systems
from gendist.config.export_settings import Export
from gendist.config.generator_settings import POCKET, Generator
from gendist.config.sampling_settings import Sampling
from gendist.config.student_settings import GENERAL_ROWS, PAPER_TRAINING, Student, Training
from gendist.config.teacher_settings import MINILM, Teacher
from gendist.config.tracking_settings import Tracking
from gendist.naming import BASELINES, TEACHER, WITH_UNLABELLED, System, parse_system

PAPER_COUNTS = (500, 1000, 2500, 5000, 10_000, 25_000)
MAX_SHARDS = 100_000
"""Shard numbers have five digits."""
MAX_SEEDS = 1000
"""Maximum number of seeds."""
RESERVED_FOLDERS = ("costs", "embeddings", "figures", "logs", "pocket", "tables", "tracking")
"""Folders of the results that are not datasets."""


class Study(Settings):
    """A study: datasets, models, and the systems to compare.

    The first entry of `generators`, `samplings`, `teachers` and `trainings` is the main one, used by Tables 1 and 2 and
    Figure 2; further entries are variants.
    """

    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    """Datasets by name."""
    generators: Annotated[dict[Name, Generator], Field(min_length=1)] = {"pocket": POCKET}
    """Generators by name; by default, the embedded one."""
    samplings: Annotated[dict[Name, Sampling], Field(min_length=1)] = {
        "nucleus": Sampling(top_p=0.95),
        "full": Sampling(),
        "cool": Sampling(temperature=0.7),
    }
    """Sampling strategies by name; the sampling comparison compares all of them. `full` is the paper's."""
    teachers: Annotated[dict[Name, Teacher], Field(min_length=1)] = {"minilm": MINILM}
    """Teachers by name; by default, the embedded one."""
    students: Annotated[dict[Name, Student], Field(min_length=1)] = {
        "kim": Student(),
        "res": Student(architecture="res"),
        "blend": Student(architecture="blend", distillation_loss="mae"),
        "bilstm": Student(architecture="bilstm", filters=150),
        "bag": Student(architecture="bag", filters=300),
        "kim-general": Student(init="general", general_rows=GENERAL_ROWS),
        "res-general": Student(architecture="res", init="general", general_rows=GENERAL_ROWS),
    }
    """Students by name; `bilstm` and `bag` run only if `systems` lists them."""
    trainings: Annotated[dict[Name, Training], Field(min_length=1)] = {
        "default": Training(),
        "paper": PAPER_TRAINING,
    }
    """Training settings of the students, by name."""
    systems: Annotated[list[str], Field(min_length=1)] = [*PAPER_SYSTEMS, *GENERAL_SYSTEMS]
    """Rows of Table 1: `tfidf-svm`, `fasttext`, `teacher`, a student, or a student + a regime. Optional: `encoder-lr`,
    and `model2vec` and `setfit` with the extras of these names (docs/baselines.md). If a dataset has `unlabelled` rows,
    the default includes students with `+unlabelled` and `+gendist+unlabelled`."""
    curve_student: Name = "kim"
    """Student of Figure 2, Table 2 and the sampling comparison."""
    counts: list[Annotated[int, Field(ge=1)]] = list(PAPER_COUNTS)
    """Synthetic row counts of Figure 2. A dataset's `synthetic` is added, and larger counts are omitted."""
    sampling_rows: Annotated[int, Field(ge=1)] = 1000
    """Synthetic rows of the sampling comparison, at most a dataset's `synthetic`."""
    seeds: Annotated[list[Seed], Field(min_length=1)] | Annotated[int, Field(ge=1, le=MAX_SEEDS)] = 5
    """Seeds of the students: their number, or a list."""
    shard_rows: Annotated[int, Field(ge=1)] = 500
    """Rows per shard, the unit of generation and scoring jobs."""
    device: Device = "auto"
    """Device of the language models: `auto` uses a GPU if the machine has one, and each job a free one; `gpu` requires
    one; `cpu` uses none. Changing it reruns no finished job."""
    seeds_together: StrictBool | Annotated[int, Field(ge=2)] = 5
    """Number of seeds of a student that one job trains, or `true` for all; with a GPU, in parallel. Each remaining seed
    is a job; so is each seed if there are fewer, or with `false`. Changing it reruns no finished job
    (docs/clusters.md)."""
    shards_together: bool = False
    """Generate, and score, ten shards per job: enough rows to fill a GPU, with one start-up. Rows and files are the
    same; the number of shards is rounded up to a multiple of ten. From a pool's 201st shard on, that is always so
    (docs/clusters.md)."""
    export: Export = Export()
    """Export of the student to deploy."""
    tracking: Tracking = Tracking()
    """Experiment tracking of finished runs."""
    results: Annotated[str, Field(max_length=1000, json_schema_extra={"pattern": r"^[^\s{}$\x00-\x1f]+$"})] = "results"
    """Output folder; `~` is the home folder."""

    @field_validator("results")
    @classmethod
    def _check_results_path(cls, value: str) -> str:
        path = collapse_slashes(expand_home(value))
        if not re.fullmatch(r"[^\s{}$\x00-\x1f]+", path):
            found = f" (here '{path}')" if path != value else ""
            raise ValueError(
                f"expected a path without spaces, braces, $ and control characters{found}, which are special in "
                "Snakemake and shells"
            )
        if os.name != "nt" and "\\" in path:
            raise ValueError(f"expected a path with / between folders: '{path}' would be one folder with that name")
        return path

    @model_validator(mode="before")
    @classmethod
    def _default_systems(cls, content: Any) -> Any:
        """Set the default rows of Table 1 that the config's students and datasets allow."""
        if not isinstance(content, Mapping) or "systems" in content:
            return content
        return {**content, "systems": default_systems(content)}

    @model_validator(mode="after")
    def _check_names(self) -> "Study":
        self._check_name_collisions()
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
                raise ValueError(f"export.systems: '{system}' is not a student; use names such as kim+gendist")
        self._check_unlabelled()
        self._check_rows_files()
        self._check_prompted()
        if self.curve_student not in self.students:
            raise ValueError(f"curve_student '{self.curve_student}' is not one of students: {', '.join(self.students)}")
        for names, key in (
            (self.systems, "systems"),
            (self.counts, "counts"),
            (self.seed_list, "seeds"),
            (self.export.systems or [], "export.systems"),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"{key} repeats an entry: {', '.join(map(str, names))}")
        for name, dataset in self.datasets.items():
            if dataset.synthetic > MAX_SHARDS * self.shard_rows:
                raise ValueError(
                    f"datasets.{name}.synthetic is {dataset.synthetic}, which is more than {MAX_SHARDS:,} shards of "
                    f"{self.shard_rows} rows; raise shard_rows"
                )
        return self

    def _check_name_collisions(self) -> None:
        """Reject names that are ambiguous, or that would share a folder on a case-insensitive file system."""
        for section in ("datasets", "generators", "samplings", "teachers", "students", "trainings"):
            seen: dict[str, str] = {}
            for name in getattr(self, section):
                other = seen.setdefault(name.lower(), name)
                if other != name:
                    raise ValueError(
                        f"{section}: '{other}' and '{name}' differ only in case, which some file systems ignore"
                    )
        for name in self.datasets:
            if name.lower() in RESERVED_FOLDERS:
                raise ValueError(f"datasets: '{name}' is a reserved folder of the results; rename it")
        for name in self.students:
            if name in (*BASELINES, TEACHER):
                raise ValueError(f"students: '{name}' is the name of another system; rename the student")

    def _check_unlabelled(self) -> None:
        """Reject systems that need unlabelled rows if no dataset has any, and exports without a candidate for a
        dataset.
        """
        without = [name for name, dataset in self.datasets.items() if dataset.unlabelled is None]
        for key, systems in (("systems", self.systems), ("export.systems", self.export.systems or [])):
            parsed = [parse_system(name, self.students) for name in systems]
            needing = [system.name for system in parsed if system.regime in WITH_UNLABELLED]
            none_has = len(without) == len(self.datasets)
            if needing and without and (none_has or (key == "export.systems" and len(needing) == len(parsed))):
                raise ValueError(f"{key}: '{needing[0]}' needs 'unlabelled' (a file), not set in datasets.{without[0]}")

    def _check_rows_files(self) -> None:
        """Reject one file of given rows for several datasets."""
        for name, generator in self.generators.items():
            if generator.rows is not None and len(self.datasets) > 1 and "{dataset}" not in generator.rows:
                raise ValueError(
                    f"generators.{name}.rows: one file for {len(self.datasets)} datasets; put {{dataset}} into its "
                    "name, which is replaced by the dataset's name"
                )

    def _check_prompted(self) -> None:
        """Reject samplings that start texts with words of a real one, for generators that write whole texts."""
        for name, generator in self.generators.items():
            used = list(self.samplings) if name == self.generator else [self.sampling]
            for sampling in used:
                if generator.is_prompted and self.samplings[sampling].prompt_words:
                    raise ValueError(
                        f"samplings.{sampling}.prompt_words: generators.{name} writes whole texts and continues none; "
                        "set prompt_words to 0"
                    )

    @property
    def seed_list(self) -> list[int]:
        """The seeds as a list."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def joint_seeds(self) -> list[int]:
        """The seeds of a student that one job trains; empty if each is a job of its own."""
        if self.seeds_together is True:
            return self.seed_list
        count = int(self.seeds_together)
        return self.seed_list[:count] if 2 <= count <= len(self.seed_list) else []

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
        """Name of the main training."""
        return next(iter(self.trainings))

    @property
    def compared_samplings(self) -> list[str]:
        """Names of the samplings in the comparison; empty for a single one, or if the main generator has `rows`."""
        given = self.generators[self.generator].rows is not None
        return [] if given or len(self.samplings) == 1 else list(self.samplings)

    @property
    def general_rows(self) -> int:
        """Rows of general text that the teachers score: as many as the student that uses most."""
        return max(student.general_rows for student in self.students.values())

    @property
    def with_unlabelled(self) -> list[str]:
        """Names of the datasets with unlabelled rows."""
        return [name for name, dataset in self.datasets.items() if dataset.unlabelled is not None]

    def curve_counts(self, dataset: str) -> list[int]:
        """Synthetic counts of Figure 2 for one dataset, ascending, its full count last."""
        return self._counts_up_to(self.datasets[dataset].synthetic)

    def unlabelled_counts(self, dataset: str) -> list[int]:
        """Unlabelled counts of the figure of rows for one dataset, ascending, its full count last."""
        return self._counts_up_to(self.datasets[dataset].n_unlabelled)

    def _counts_up_to(self, full: int) -> list[int]:
        return sorted({c for c in self.counts if c < full} | {full})

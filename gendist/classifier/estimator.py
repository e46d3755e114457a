"""A text classifier with scikit-learn's interface, trained by the workflow."""

import contextlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from gendist.classifier import training_run
from gendist.classifier.training_data import (
    require_filled_texts,
    require_known_labels,
    require_labels,
    require_texts,
)
from gendist.classifier.training_folder import MODEL, FitRows, write_training_folder
from gendist.config.quick_study import SYNTHETIC_ROWS
from gendist.errors import GendistError, first_line
from gendist.io.atomic_files import atomic_folder
from gendist.predict.classifier import TextClassifier
from gendist.predict.exported_model import DESCRIPTION

CLASSES = "classes.json"
"""The classes, if they are not strings, beside the exported model."""
HUB_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
HUB_FILES = ["*.onnx", "*.safetensors", "*.json"]


class Classifier(ClassifierMixin, BaseEstimator):
    """Generation-Distillation as an estimator: ``fit`` runs a study, ``predict`` uses its exported student.

    ``X`` is a sequence of texts: a list, a pandas Series, an array (rows,) or (rows, 1). Works in pipelines and
    cross-validation; every fit takes minutes.
    """

    def __init__(
        self,
        *,
        quick: bool = True,
        students: Sequence[str] = ("kim-general",),
        rows: int | None = None,
        generator: str | Mapping[str, Any] | None = None,
        teacher: str | Mapping[str, Any] | None = None,
        random_state: int = 0,
        device: str = "auto",
        cores: int | None = None,
        work_dir: str | Path | None = None,
        verbose: bool = True,
    ) -> None:
        """Store the parameters.

        Args:
            quick: shorter trainings, as ``gendist run --quick``; else those of a whole study.
            students: names of students; with ``quick=False``, the best of several on held-out rows is exported.
            rows: number of generated texts; None chooses it by the number of training texts.
            generator: a transformers folder, a hub id, or settings (docs/config.md, Generator); None for the embedded.
            teacher: the same for the teacher.
            random_state: seed of the students.
            device: auto, cpu or gpu.
            cores: parallel jobs; None for one per core.
            work_dir: folder of the study; a fit that was interrupted resumes there. None uses a temporary one.
            verbose: print the progress.
        """
        self.quick = quick
        self.students = students
        self.rows = rows
        self.generator = generator
        self.teacher = teacher
        self.random_state = random_state
        self.device = device
        self.cores = cores
        self.work_dir = work_dir
        self.verbose = verbose

    def fit(self, X: Any, y: Any, unlabelled: Any = None, test: tuple[Any, Any] | None = None) -> "Classifier":  # noqa: N803
        """Train on texts and labels.

        Args:
            X: training texts, (rows,).
            y: labels, (rows,): strings, integers or booleans.
            unlabelled: texts without labels, (rows,), for distillation.
            test: texts and labels for the evaluation; None holds a fifth of the rows out.

        Raises:
            ValueError: if a text, a label or a parameter is not accepted; names the row, from 0.
            GendistError: if a setting is not accepted, or the run fails.
            KeyboardInterrupt: after the run has stopped.
        """
        students = [self.students] if isinstance(self.students, str) else list(self.students)
        self._check_options(students)
        texts = require_filled_texts(X)
        labels = require_labels(y, len(texts))
        test_rows = None
        if test is not None:
            if not isinstance(test, tuple) or len(test) != 2:
                raise ValueError("test: expected (texts, labels)")
            test_texts = require_filled_texts(test[0], "test text")
            if not test_texts:
                raise ValueError("test: no rows; omit it to hold some of the training rows out")
            test_rows = (test_texts, require_known_labels(test[1], len(test_texts), labels))
        more = None if unlabelled is None else require_filled_texts(unlabelled, "unlabelled text")
        rows = FitRows(texts, labels.names, test_rows, more)
        options = {**self.get_params(deep=False), "students": students}
        with contextlib.ExitStack() as stack:
            folder = Path(self.work_dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="gendist-fit-")))
            write_training_folder(folder, rows, options)
            training_run.run_training(folder, quick=self.quick, cores=self.cores, show=self._show)
            self._load(folder / MODEL, labels.classes, labels.class_names)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the label of each text, (rows,), of the type of ``y``."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return calibrated probabilities, (rows, classes), columns in the order of ``classes_``."""
        check_is_fitted(self, "classes_")
        return self._classifier.predict_proba(require_texts(X))[:, self._columns]

    def save(self, folder: str | Path) -> None:
        """Write the exported model, as ``gendist export`` does; ``gendist predict`` reads it too.

        Raises:
            GendistError: if the folder exists and is not an exported model, or cannot be written.
        """
        check_is_fitted(self, "classes_")
        target = Path(folder)
        if target.exists() and not (target / DESCRIPTION).is_file() and (target.is_file() or any(target.iterdir())):
            raise GendistError(f"{target}: exists and is not an exported model; choose another folder")
        with atomic_folder(target) as part:
            self._write_files(part)

    @classmethod
    def from_pretrained(cls, model: str | Path) -> "Classifier":
        """Load a folder written by ``save`` or ``gendist export``, or a model of the Hugging Face hub (OWNER/NAME).

        Raises:
            GendistError: if there is no such model, or it is damaged.
        """
        folder = Path(model)
        if not folder.is_dir():
            if not HUB_ID.fullmatch(str(model)):
                raise GendistError(f"{model}: no such folder, and not an id of the hub (OWNER/NAME)")
            folder = _download(str(model))
        names = TextClassifier.load(folder).classes_.tolist()
        classes = np.array(_read_classes(folder / CLASSES, names))
        order = np.argsort(classes)
        found = cls()
        found._load(folder, classes[order], [names[i] for i in order])
        return found

    def _check_options(self, students: list[str]) -> None:
        if not students:
            raise ValueError("students is empty; name at least one, such as kim-general")
        if self.quick and len(students) > 1:
            raise ValueError(f"quick=True trains one student, not {len(students)}; use quick=False to compare students")
        if self.quick and self.rows is not None and self.rows > SYNTHETIC_ROWS:
            raise ValueError(f"rows={self.rows} needs quick=False; quick=True generates at most {SYNTHETIC_ROWS} texts")

    def _show(self, line: str) -> None:
        if self.verbose:
            print(line, flush=True)

    def _load(self, folder: Path, classes: np.ndarray, names: list[str]) -> None:
        """Load an exported model; ``names`` are its labels in the order of ``classes``."""
        classifier = TextClassifier.load(folder)
        position = {name: i for i, name in enumerate(classifier.classes_.tolist())}
        self._files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}
        self._files.pop(CLASSES, None)
        if classes.dtype.kind in "iufb":
            self._files[CLASSES] = json.dumps(dict(zip(names, classes.tolist(), strict=True))).encode()
        self._columns = [position[name] for name in names]
        self._classifier = classifier
        self.classes_ = classes

    def _write_files(self, folder: Path) -> None:
        for name, content in self._files.items():
            (folder / name).write_bytes(content)

    def __getstate__(self) -> dict[str, Any]:
        """Exclude the loaded network; ``__setstate__`` loads it from the stored files."""
        return {name: value for name, value in super().__getstate__().items() if name != "_classifier"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_files" in state:
            with tempfile.TemporaryDirectory() as folder:
                self._write_files(Path(folder))
                self._classifier = TextClassifier.load(folder)

    def __sklearn_tags__(self) -> Tags:
        """Declare that samples are strings."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _read_classes(file: Path, names: list[str]) -> list[Any]:
    """Return the class of each name; the names themselves without the file."""
    if not file.is_file():
        return names
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        found = [stored[name] for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GendistError(f"{file}: damaged ({error!r}); save the classifier again") from None
    if len({type(value) for value in found}) != 1 or type(found[0]) not in (bool, int, float):
        raise GendistError(f"{file}: damaged (expected numbers of one type); save the classifier again")
    return found


def _download(model: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES))
    except Exception as error:  # no such model, no access, or a network error
        raise GendistError(
            f"{model}: no such folder, and the hub has no accessible model ({first_line(error)})"
        ) from None

"""Fixtures of the tests of the analysis."""

from pathlib import Path

import pytest
from study_fixtures import details, finish, study_in


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with its details."""
    folder = tmp_path_factory.mktemp("study") / "results"
    finish(study_in(folder))
    details(folder)
    return folder

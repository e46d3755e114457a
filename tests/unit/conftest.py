"""Fixtures of several rooms' tests."""

from pathlib import Path

import pytest
from bad_data_files import GOOD


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file of rows as they should be."""
    (tmp_path / "good.csv").write_bytes(GOOD[".csv"])
    return tmp_path / "good.csv"

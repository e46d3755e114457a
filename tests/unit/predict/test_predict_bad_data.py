"""``gendist predict`` with files that are damaged or not what they should be."""

from pathlib import Path

import pytest
from bad_data_files import BAD
from bad_inputs import refused, survived

from gendist.predict.classifier import TextClassifier
from gendist.predict.predict_file import predict_file
from gendist.predict.text_source import TextSource


@pytest.fixture(scope="module")
def classifier(exported: Path) -> TextClassifier:
    return TextClassifier.load(exported)


@pytest.mark.parametrize("case", BAD)
def test_predict_refuses_a_bad_file_or_labels_every_row_of_it(case: str, classifier: TextClassifier, tmp_path: Path):
    suffix, content, _ = BAD[case]
    file, out = tmp_path / f"bad{suffix}", tmp_path / "labels.csv"
    file.write_bytes(content)
    source = TextSource(str(file), None, ["text"])
    if survived(lambda: predict_file(classifier, source, str(out), all_classes=False, chunk=8), tmp_path):
        assert out.is_file()
    else:
        assert not out.exists()


@pytest.mark.parametrize("case", ["nul byte", "unclosed quote", "windows", "json cut off", "parquet cut off", "png"])
def test_predict_says_what_is_wrong_with_a_file(case: str, classifier: TextClassifier, tmp_path: Path):
    suffix, content, _ = BAD[case]
    file = tmp_path / f"bad{suffix}"
    file.write_bytes(content)
    source = TextSource(str(file), None, ["text"])
    refused(
        lambda: predict_file(classifier, source, str(tmp_path / "out.csv"), all_classes=False, chunk=8),
        tmp_path,
        f"bad{suffix}",
    )

"""Cards of a model and of its synthetic rows: true to the study, and safe to show."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from page_models import untrained_model
from study_fixtures import CLASSES, HOSTILE, TOKENISED, export, finish, study_in
from typer.testing import CliRunner

from gendist.analysis.cards.card_facts import collect_facts
from gendist.analysis.cards.hub_upload import collect_upload, copy_files
from gendist.analysis.cards.write_cards import fence_yaml, write_cards
from gendist.cli.app import app
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.json_files import read_json, write_json
from gendist.io.parquet import read_metadata
from gendist.io.provenance import PROVENANCE_KEY
from gendist.predict import TextClassifier


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A finished study."""
    made = study_in(tmp_path / "results")
    finish(made)
    return made


def cards(study: Study) -> Path:
    return Path(study.results) / "news/cards"


def front(card: Path) -> dict[str, Any]:
    _, header, _ = card.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(header)


def test_the_model_card_is_of_the_best_student_until_one_is_exported(study: Study):
    facts = collect_facts(study, "news")
    assert (facts.subject.system, facts.subject.run.seed, facts.subject.export) == ("res+gendist", 0, None)
    assert facts.run_accuracy == pytest.approx(90) and facts.accuracy.runs == 2
    export(study)
    facts = collect_facts(study, "news")
    assert (facts.subject.system, facts.subject.run.seed) == ("kim+gendist", 1)
    assert facts.run_accuracy == pytest.approx(80)
    assert facts.temperature == 0.8
    # right in 80 % of the rows, at logits 0 and 2: probability 0.881, and 0.924 with the temperature
    assert facts.ece == pytest.approx(8.08, abs=0.01) and facts.ece_calibrated == pytest.approx(12.41, abs=0.01)


def test_the_model_card_says_what_the_exported_files_give(study: Study):
    write_cards(study, "news")
    before = (cards(study) / "model/README.md").read_text()
    assert "The files" not in before and "TextClassifier" not in before
    export(study)
    write_cards(study, "news")
    card = (cards(study) / "model/README.md").read_text()
    assert "| PyTorch | | 80.00 | | |" in card
    assert (
        "| model.onnx | 4.49 | 80.00 | 100.00 | 2e-06 |\n| model.int8.onnx | 1.17 | 77.50 | 97.50 | 0.021 |\n" in card
    )


@pytest.mark.parametrize(("architecture", "extras"), [("kim", "predict"), ("res", "predict,onnx")])
def test_the_snippet_of_the_model_card_runs_beside_its_files(tmp_path: Path, architecture: str, extras: str):
    study = study_in(tmp_path / "results")
    finish(study)
    export(study)
    news = study.datasets["news"].model_copy(update={"text": ["title", "body"], "separator": " | "})
    study = study.model_copy(update={"datasets": {"news": news}})
    model = Path(study.results) / "news/export/model"
    chosen = read_json(model / "gendist-model.json")["chosen"]
    shutil.rmtree(model)
    untrained_model(model, architecture, labels=["sea", "sky"])
    write_json(model / "gendist-model.json", {**read_json(model / "gendist-model.json"), "chosen": chosen})
    write_cards(study, "news")
    copy_files(collect_upload(study, "news", "model"), tmp_path / "model")
    card = (tmp_path / "model/README.md").read_text(encoding="utf-8")
    assert f'`pip install "gendist[{extras}]"`' in card
    assert 'Texts are the columns title, body of a row, joined with " \\| ".\n' in card
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)
    assert len(snippet.split("\n\n")[-1].splitlines()) == 3
    ran = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True)
    classifier, texts = TextClassifier.load(tmp_path / "model"), ["The first text.", "Another one."]
    expected = f"{classifier.predict(texts)} {classifier.predict_proba(texts)}\n"
    assert (ran.stdout, ran.stderr) == (expected, "")


def test_the_model_card_has_what_the_hub_reads(study: Study):
    write_cards(study, "news", "cc-by-4.0")
    header = front(cards(study) / "model/README.md")
    assert header["license"] == "cc-by-4.0" and header["pipeline_tag"] == "text-classification"
    assert header["language"] == ["en"]
    (result,) = header["model-index"][0]["results"]
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"accuracy": 0.9, "f1": pytest.approx(0.9, abs=0.01)}
    assert result["dataset"]["name"] == "news"


def test_the_hub_accepts_the_front_matter(study: Study):
    from huggingface_hub import DatasetCard, ModelCard

    write_cards(study, "news", "mit")
    model = ModelCard.load(cards(study) / "model/README.md")
    assert model.data.eval_results[0].metric_type == "accuracy"
    assert DatasetCard.load(cards(study) / "dataset/README.md").data.license == "mit"


def test_the_model_card_says_how_it_was_made(study: Study):
    write_cards(study, "news")
    text = (cards(study) / "model/README.md").read_text()
    for said in (
        "90.0 %",
        "95.0 %",
        "10 labelled rows and 6 rows written",
        "learning_rate: 0.001",
        "ab" * 32,
        "cd" * 32,
    ):
        assert said in text, said
    assert "Apache-2.0" in text and "held-out real" in text and "Energy was not measured" in text
    assert front(cards(study) / "model/README.md")["license"] == "unknown"


def test_models_in_folders_do_not_say_where_they_lie(study: Study, tmp_path: Path):
    moved = study.model_copy(
        update={"teachers": {"minilm": study.teachers["minilm"].model_copy(update={"model": str(tmp_path / "bert")})}}
    )
    write_cards(moved, "news")
    for card in cards(study).rglob("README.md"):
        assert str(tmp_path) not in card.read_text()
    assert "model: bert" in (cards(study) / "model/README.md").read_text()


def test_texts_with_markup_do_not_become_markup(study: Study):
    write_cards(study, "news")
    for kind in ("model", "dataset"):
        body = (cards(study) / kind / "README.md").read_text().split("---\n", 2)[2]
        assert "<script" not in body and "<b>" not in body and not re.search(r"[^\\]\]\(javascript", body)
    assert "&lt;script&gt;" in (cards(study) / "dataset/README.md").read_text()
    assert r"&lt;b&gt;sea&lt;/b&gt;" in (cards(study) / "model/README.md").read_text()


def test_the_dataset_card_shows_texts_detokenised_and_its_rows_are_as_generated(study: Study):
    write_cards(study, "news")
    folder = cards(study) / "dataset"
    assert f"{TOKENISED} 2" in pq.read_table(folder / "data/synthetic.parquet")["text"].to_pylist()
    text = (folder / "README.md").read_text()
    assert "shown detokenised" in text
    assert "the sea's &lt; i &gt; and the sky's 3,000 (odd) birds: row 2\n" in text


def test_a_fence_cannot_be_closed_from_inside():
    made = fence_yaml("a: '````'\n```\n")
    assert re.match("`{5}yaml\n", made) and made.endswith("`````")


def test_synthetic_rows_come_with_the_teachers_logits(study: Study):
    write_cards(study, "news")
    path = cards(study) / "dataset/data/synthetic.parquet"
    table = pq.read_table(path)
    assert table.column_names == ["row", "text", "label", "probability", "logits", "n_tokens", "finish"]
    assert table["row"].to_pylist() == [0, 2, 3, 4, 5]  # row 1 holds no text; the study uses six rows of eight
    assert table["label"].to_pylist() == [CLASSES[1], *[CLASSES[0]] * 4]
    assert table["logits"].to_pylist()[1] == [2.0, 1.0]
    assert table["text"][0].as_py() == f"={HOSTILE} row 0"
    assert (
        read_metadata(path)[PROVENANCE_KEY]["stage"] == "cards"
        and len(read_metadata(path)[PROVENANCE_KEY]["inputs"]) == 4
    )
    assert front(cards(study) / "dataset/README.md")["configs"][0]["data_files"][0]["path"] == "data/synthetic.parquet"


def test_equal_studies_give_equal_cards(study: Study):
    written = write_cards(study, "news")
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_cards(study, "news")] == before


def test_cards_of_a_study_that_has_not_run_are_one_line(tmp_path: Path):
    with pytest.raises(GendistError, match=r"metrics\.parquet: no such file; run the study first"):
        write_cards(study_in(tmp_path / "nothing"), "news")


def test_the_command_names_what_it_wrote(study: Study, tmp_path: Path):
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
    result = CliRunner().invoke(app, ["card", str(config), "--license", "mit"])
    assert result.exit_code == 0, result.output
    assert str(cards(study) / "model/README.md") in result.output.replace("\n", "")
    assert front(cards(study) / "dataset/README.md")["license"] == "mit"
    wrong = CliRunner().invoke(app, ["card", str(config), "--dataset", "other"])
    assert isinstance(wrong.exception, GendistError) and "it has news" in str(wrong.exception)

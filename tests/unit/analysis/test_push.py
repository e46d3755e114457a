"""Handing on: nothing leaves before it is shown and allowed, and nothing becomes public unasked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from huggingface_hub.errors import HfHubHTTPError
from study_fixtures import export, finish, study_in
from typer.testing import CliRunner

from gendist.analysis.cards.hub_upload import collect_upload, target_folder, upload_files
from gendist.analysis.cards.write_cards import write_cards
from gendist.cli.app import app
from gendist.config.study import Study
from gendist.errors import GendistError
from gendist.io.provenance import hash_file


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A finished study with an export and cards."""
    made = study_in(tmp_path / "results")
    finish(made)
    export(made)
    write_cards(made, "news", "mit")
    return made


class Hub:
    """Stands in for the hub: one repository, private or public."""

    def __init__(self, private: bool | None = None, refuses: bool = False) -> None:
        self.private, self.refuses = private, refuses
        self.commits: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        if self.refuses:
            response: Any = SimpleNamespace(headers={}, request=None)
            raise HfHubHTTPError("403 Forbidden\nmore lines", response=response)
        self.private = private if self.private is None else self.private

    def repo_info(self, repo_id: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, *, folder_path: str, **about: Any) -> SimpleNamespace:
        self.commits.append(about)
        root = Path(folder_path)
        self.files = {f.relative_to(root).as_posix(): f.read_bytes() for f in root.rglob("*") if f.is_file()}
        return SimpleNamespace(commit_url="https://hub/commit/1")


def run(study: Study, tmp_path: Path, *arguments: str) -> Any:
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
    return CliRunner().invoke(app, ["push", str(config), *arguments])


def test_a_dry_run_says_what_would_go_and_sends_nothing(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("was sent")

    monkeypatch.setattr("gendist.analysis.cards.hub_upload.upload_files", refuse)
    monkeypatch.setattr("gendist.analysis.cards.hub_upload.copy_files", refuse)
    for to in ("me/news", str(tmp_path / "folder")):
        result = run(study, tmp_path, "--to", to)
        assert result.exit_code == 0, result.output
        lines = [line.split() for line in result.output.splitlines()]
        assert ["model.onnx", "7", "B"] in lines
        assert {"README.md", "gendist-model.json"} <= {line[0] for line in lines}
        assert result.output.endswith("Nothing was sent. Add --yes to send.\n")
    assert not (tmp_path / "folder").exists()
    assert "(private)" in run(study, tmp_path, "--to", "me/news").output
    assert "set --to" in run(study, tmp_path).output


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_folder_gets_every_file(study: Study, tmp_path: Path, kind: str):
    result = run(study, tmp_path, "--kind", kind, "--to", str(tmp_path / "out"), "--yes")
    assert result.exit_code == 0, result.output
    parcel = collect_upload(study, None, kind)
    got = {f.relative_to(tmp_path / "out").as_posix(): hash_file(f) for f in (tmp_path / "out").rglob("*.*")}
    assert got == {name: hash_file(path) for name, path in parcel.files.items()}
    assert ("data/synthetic.parquet" in got) == (kind == "dataset")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_the_hub_gets_one_commit_in_a_private_repository(study: Study, kind: str):
    hub = Hub()
    assert upload_files(collect_upload(study, "news", kind), "me/news", api=hub) == "https://hub/commit/1"
    assert hub.private is True
    (commit,) = hub.commits
    assert (commit["repo_id"], commit["repo_type"]) == ("me/news", kind)
    assert set(hub.files) == set(collect_upload(study, "news", kind).files)
    assert hub.files["README.md"].startswith(b"---\nlicense: mit\n")


def test_a_public_repository_is_not_filled_unasked(study: Study):
    hub = Hub(private=False)
    with pytest.raises(GendistError, match="me/news is public;"):
        upload_files(collect_upload(study, "news", "model"), "me/news", api=hub)
    assert hub.commits == []
    upload_files(collect_upload(study, "news", "model"), "me/news", public=True, api=hub)
    assert len(hub.commits) == 1


def test_a_refusal_of_the_hub_is_one_line(study: Study):
    with pytest.raises(GendistError, match=r"^me/news: the upload failed \(403 Forbidden\)$"):
        upload_files(collect_upload(study, "news", "model"), "me/news", api=Hub(refuses=True))


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path):
    study = study_in(tmp_path / "results")
    finish(study)
    with pytest.raises(GendistError, match="no exported model; run gendist export first"):
        collect_upload(study, "news", "model")
    export(study)
    for kind in ("model", "dataset"):
        with pytest.raises(GendistError, match="run gendist card first"):
            collect_upload(study, "news", kind)
    with pytest.raises(GendistError, match="dataset 'old' is not in the study; it has news"):
        collect_upload(study, "old", "model")


def test_a_card_without_licence_is_pointed_out(study: Study, tmp_path: Path):
    assert "names no licence" not in run(study, tmp_path).output
    write_cards(study, "news")
    assert "names no licence" in run(study, tmp_path).output


def test_yes_without_a_target_is_an_error(study: Study, tmp_path: Path):
    result = run(study, tmp_path, "--yes")
    assert isinstance(result.exception, GendistError) and "--to" in str(result.exception)


def test_a_target_is_a_repository_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert target_folder("me/news") is None
    (tmp_path / "me/news").mkdir(parents=True)
    assert target_folder("me/news") == Path("me/news")
    assert target_folder("./new") == Path("new")
    for wrong in ("new", "a/b/c", "me/../x"):
        with pytest.raises(GendistError, match="neither OWNER/NAME on the hub nor a folder"):
            target_folder(wrong)

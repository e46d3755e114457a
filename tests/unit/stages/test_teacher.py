import inspect
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.model_selection import StratifiedShuffleSplit
from tiny_stages import write_texts
from toy_texts import NAMES, sentences

from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.nn.pretrained import load_classifier, load_tokenizer
from gendist.stages.evaluation.evaluate_teacher import evaluate_teacher
from gendist.stages.logits.score_texts import class_names, score_files
from gendist.stages.teacher import finetune_teacher as finetune
from gendist.stages.teacher.finetune_teacher import finetune_teacher
from gendist.stages.teacher.held_out_split import split_held_out
from gendist.stages.teacher.training_loop import parameter_groups
from gendist.stages.texts.text_tables import read_texts


def quick(model, **changed):
    values = {"epochs": 4, "learning_rate": 3e-3, "batch_size": 8, "max_tokens": 24, "held_out": 0.2}
    return Teacher(**{"model": str(model), **values, **changed})


@pytest.fixture(scope="module")
def teacher(encoder, train_texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers") / "tiny"
    finetune_teacher(train_texts, folder, quick(encoder, epochs=20))
    return folder


def test_an_encoder_without_head_gets_one_and_learns(teacher, encoder, test_texts, tmp_path):
    assert not any(name.startswith("classifier") for name in load_file(encoder / "model.safetensors"))
    assert load_file(teacher / "model.safetensors")["classifier.weight"].shape == (3, 32)
    assert class_names(teacher) == NAMES
    score_files(teacher, [test_texts], [tmp_path / "logits.parquet"], 24)
    train = write_texts(tmp_path / "train.parquet", *sentences(36, 0))
    evaluate_teacher(
        train=train,
        test=test_texts,
        logits=tmp_path / "logits.parquet",
        teacher=teacher,
        folder=tmp_path / "run",
        dataset="toy",
        name="tiny",
        seed=0,
    )
    row = json.loads((tmp_path / "run/metrics.json").read_text())
    assert row["accuracy"] > 0.9 and row["system"] == "teacher" and row["n_real"] == 36 and row["variant"] == "tiny"
    assert row["n_parameters"] == sum(value.numel() for value in load_file(teacher / "model.safetensors").values())


def test_the_test_set_has_no_way_in():
    taken = list(inspect.signature(finetune_teacher).parameters)
    assert taken == ["train", "target", "settings", "threads", "work", "device"]


def test_held_out_rows_are_even_and_apart(train_texts):
    rows = read_texts(train_texts)
    kept, held_out = split_held_out(rows, Teacher(held_out=0.2))
    assert np.bincount(held_out.labels).min() >= 2 and len(held_out.texts) == 7
    assert sorted([*kept.ids, *held_out.ids]) == rows.ids.tolist()
    again = split_held_out(rows, Teacher(held_out=0.2))
    assert np.array_equal(again[1].ids, held_out.ids)
    assert not np.array_equal(split_held_out(rows, Teacher(held_out=0.2, seed=1))[1].ids, held_out.ids)
    # However small the share, each class has a row in either part.
    kept, held_out = split_held_out(read_texts(train_texts), Teacher(held_out=0.01))
    assert np.bincount(held_out.labels).tolist() == [1, 1, 1]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
def test_every_class_is_held_out_however_uneven_the_classes(tmp_path, share):
    labels = [label for label in range(35) for _ in range(2 + 3 * (label % 4) + 40 * (label == 0))]
    names = [f"class {label}" for label in range(35)]
    rows = read_texts(write_texts(tmp_path / "t.parquet", [f"text {i}" for i in range(len(labels))], labels, names))
    for seed in range(20):
        kept, held_out = split_held_out(rows, Teacher(held_out=share, seed=seed))
        assert np.bincount(held_out.labels, minlength=35).min() >= 1 <= np.bincount(kept.labels, minlength=35).min()
        assert len(held_out.texts) == max(35, round(share * len(labels)))
        assert sorted([*kept.ids, *held_out.ids]) == rows.ids.tolist()


def test_a_split_that_has_every_class_is_the_one_it_was(train_texts):
    rows = read_texts(train_texts)
    splitter = StratifiedShuffleSplit(1, test_size=7, random_state=3)
    _, wanted = next(splitter.split(rows.labels, rows.labels))
    assert split_held_out(rows, Teacher(held_out=0.2, seed=3))[1].ids.tolist() == rows.ids[np.sort(wanted)].tolist()


def test_two_rows_of_a_class_are_enough(encoder, tmp_path):
    train = write_texts(tmp_path / "train.parquet", *sentences(6, 0))
    finetune_teacher(train, tmp_path / "out", quick(encoder, epochs=1))
    assert (tmp_path / "out/model.safetensors").is_file()


def test_the_best_epoch_is_kept_or_trained_again_on_all_rows(encoder, train_texts, tmp_path, monkeypatch):
    seen = []
    original = finetune.train_epochs

    def spy(model, tokenizer, rows, **rest):
        for done, loss in enumerate(original(model, tokenizer, rows, **rest), 1):
            seen.append((len(rows.texts), done))
            yield loss

    monkeypatch.setattr(finetune, "train_epochs", spy)
    losses = iter([0.9, 0.5, 0.7] * 3)
    monkeypatch.setattr(finetune, "held_out_scores", lambda *_: (next(losses), 0.5))
    finetune_teacher(train_texts, tmp_path / "refit", quick(encoder, epochs=3))
    assert seen == [(29, 1), (29, 2), (29, 3), (36, 1), (36, 2)]
    assert json.loads((tmp_path / "refit/history.json").read_text())["epochs"] == 2
    snapshots = []

    def watch(model, *_):
        snapshots.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(losses), 0.5

    monkeypatch.setattr(finetune, "held_out_scores", watch)
    finetune_teacher(train_texts, tmp_path / "best", quick(encoder, epochs=3, refit=False))
    saved = load_file(tmp_path / "best/model.safetensors")
    assert all(torch.equal(saved[name], snapshots[1][name]) for name in saved)
    assert not torch.equal(saved["classifier.weight"], snapshots[2]["classifier.weight"])


def test_two_runs_give_the_same_bytes(encoder, train_texts, tmp_path):
    for name in ("one", "two"):
        finetune_teacher(train_texts, tmp_path / name, quick(encoder, epochs=1))
    one, two = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert (
        set(one) == set(two) >= {"config.json", "model.safetensors", "tokenizer.json", "history.json", "gendist.json"}
    )
    assert [name for name in one if one[name] != two[name] and name != "timing.json"] == []
    record = json.loads(one["gendist.json"])
    assert record["stage"] == "teacher" and list(record["source_models"]) == ["tiny-bert"]


def test_a_machine_kept_from_the_network_saves_the_same_tokenizer(encoder, tmp_path, monkeypatch):
    load_tokenizer(str(encoder)).save_pretrained(tmp_path / "online")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    load_tokenizer(str(encoder)).save_pretrained(tmp_path / "offline")
    one, other = ((tmp_path / name / "tokenizer_config.json").read_bytes() for name in ("online", "offline"))
    assert one == other


def test_the_head_may_learn_faster(encoder):
    settings = quick(encoder, learning_rate=1e-5, head_learning_rate=1e-3)
    model = load_classifier(str(encoder), NAMES)
    body, head = parameter_groups(model, settings)
    assert (body["lr"], head["lr"]) == (1e-5, 1e-3) and [p.shape[0] for p in head["params"]] == [3, 3]
    assert len(body["params"]) + 2 == len(list(model.parameters()))


def test_divergence_ends_in_one_line_and_leaves_nothing(encoder, train_texts, tmp_path):
    with pytest.raises(GendistError, match=r"teacher: the loss is not finite; lower learning_rate \(now 1e\+30\)"):
        settings = quick(encoder, epochs=2).model_copy(update={"learning_rate": 1e30})  # more than a config takes
        finetune_teacher(train_texts, tmp_path / "out", settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("history.json", "{", r"history\.json: damaged .*delete it and rerun"),
        ("history.json", '{"n_parameters": "x"}', r"history\.json: damaged \('n_parameters' is not a number\)"),
        ("timing.json", None, r"timing\.json: no such file"),
        ("timing.json", "[]", r"timing\.json: damaged"),
    ],
)
def test_damaged_records_are_named(tmp_path, train_texts, file, content, message):
    (tmp_path / "history.json").write_text('{"n_parameters": 3}')
    (tmp_path / "timing.json").write_text('{"train_seconds": 1.5}')
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(GendistError, match=message):
        evaluate_teacher(
            train=train_texts,
            test=train_texts,
            logits=tmp_path / "l",
            teacher=tmp_path,
            folder=tmp_path / "run",
            dataset="d",
            name="t",
            seed=0,
        )
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_that_cannot_fill_up_texts_is_one_line(encoder, train_texts, tmp_path):
    shutil.copytree(encoder, tmp_path / "bare")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        file = tmp_path / "bare" / name
        if file.exists():
            content = json.loads(file.read_text())
            content.pop("pad_token", None)
            file.write_text(json.dumps(content))
    message = r"model .*bare: its tokenizer has neither a padding nor an end token \(pad_token, eos_token in"
    with pytest.raises(GendistError, match=message):
        finetune_teacher(train_texts, tmp_path / "teacher", quick(tmp_path / "bare"))
    assert not (tmp_path / "teacher").exists()

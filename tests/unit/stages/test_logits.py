import copy
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toy_texts import NAMES, sentences
from transformers import BertForSequenceClassification

from gendist.config.sampling_settings import Sampling
from gendist.config.teacher_settings import Teacher
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance
from gendist.nn.packed_linear import pack_linear_layers
from gendist.nn.pretrained import class_names, load_classifier, load_tokenizer
from gendist.stages.logits import batched_logits as batches
from gendist.stages.logits.batched_logits import predict_encoded, predict_logits, tokenise
from gendist.stages.logits.int8_cascade import Int8Cascade, int8_copy, int8_error
from gendist.stages.logits.logits_files import logits_column, read_logits
from gendist.stages.logits.score_texts import score_files
from gendist.stages.synthetic.generate_shards import generate_shards
from gendist.stages.teacher.finetune_teacher import finetune_teacher


@pytest.fixture(scope="module")
def classifier(encoder, tmp_path_factory):
    """A classifier with a random head: whether it is any good does not matter here."""
    folder = tmp_path_factory.mktemp("classifiers") / "random"
    shutil.copytree(encoder, folder)
    torch.manual_seed(1)
    load_classifier(str(encoder), NAMES).save_pretrained(folder)
    return folder


TEXTS = [*sentences(40, 3)[0], "the", "", "tide " * 300]


def logits_file(path, keys, logits, key="id"):
    kind = pa.list_(pa.float32())
    table = pa.table({key: pa.array(keys, pa.int64()), "logits": pa.array(list(map(list, logits)), kind)})
    write_parquet(path, table, Provenance("logits"))
    return path


def test_logits_are_those_of_each_text_alone(classifier, monkeypatch):
    model, tokenizer = load_classifier(str(classifier), NAMES), load_tokenizer(str(classifier))
    expected = np.concatenate([predict_logits(model, tokenizer, [text], 40) for text in TEXTS])
    assert expected.dtype == np.float32 and expected.shape == (len(TEXTS), 3)
    assert len(np.unique(expected, axis=0)) > 30
    for budget in (1, 60, 100_000):
        monkeypatch.setattr(batches, "TOKEN_BUDGET", budget)
        np.testing.assert_allclose(predict_logits(model, tokenizer, TEXTS, 40), expected, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = predict_logits(model, tokenizer, [TEXTS[i] for i in order], 40)
    np.testing.assert_allclose(shuffled, expected[order], atol=1e-5)


def test_batches_of_fixed_shape_give_the_same_bits_in_any_company(classifier):
    model, tokenizer = load_classifier(str(classifier), NAMES), load_tokenizer(str(classifier))
    texts = [text * (1 + i % 4) for i, text in enumerate(TEXTS)]
    expected = predict_logits(model, tokenizer, texts, 40, batch_tokens=512)
    np.testing.assert_allclose(expected, predict_logits(model, tokenizer, texts, 40), atol=1e-5)
    pieces = [predict_logits(model, tokenizer, texts[i : i + 3], 40, batch_tokens=512) for i in range(0, len(texts), 3)]
    assert np.array_equal(np.concatenate(pieces), expected)
    assert np.array_equal(predict_logits(model, tokenizer, texts[::-1], 40, batch_tokens=512), expected[::-1])


def test_batches_on_a_gpu_always_have_padding(monkeypatch):
    """Attention has other kernels without a mask, so that a text would get other bits in other company."""
    seen = []

    def model(input_ids, attention_mask):
        seen.append(tuple(input_ids.shape))
        assert not attention_mask.all()
        return SimpleNamespace(logits=input_ids[:, :1].float())

    model.eval, model.device, model.config = lambda: None, torch.device("cuda"), SimpleNamespace(num_labels=1)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_, **__: tensor)
    encoded = [[i] * length for i, length in enumerate([16] * 40 + [32] * 9)]
    found = predict_encoded(model, encoded, pad_id=0, max_length=32, batch_tokens=256)
    assert found[:, 0].tolist() == list(range(49))
    assert seen == [(16, 16)] * 3 + [(8, 32)] * 2


def test_long_texts_are_cut_to_what_setting_model_and_tokenizer_allow(classifier):
    model, tokenizer = load_classifier(str(classifier), NAMES), load_tokenizer(str(classifier))
    for limit, expected in ((10, 10), (512, model.config.max_position_embeddings)):
        (ids,) = tokenise(tokenizer, ["tide " * 300], limit, model)
        assert len(ids) == expected and ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id
    tokenizer.model_max_length = 30
    assert len(tokenise(tokenizer, ["tide " * 300], 512, model)[0]) == 30


def test_scores_of_real_rows_and_of_shards(classifier, generator, test_texts, tmp_path):
    generate_shards(generator, [tmp_path / "shard.parquet"], Sampling(max_tokens=12), first_shard=1, shard_rows=6)
    for texts, key, keys in ((test_texts, "id", range(10, 40)), (tmp_path / "shard.parquet", "row", range(6, 12))):
        score_files(classifier, [texts], [tmp_path / "logits.parquet"], 24)
        table = pq.read_table(tmp_path / "logits.parquet")
        assert table.column_names == [key, "logits"] and table.schema.types == [pa.int64(), pa.list_(pa.float32())]
        assert table[key].to_pylist() == list(keys)
        assert {len(row) for row in table["logits"].to_pylist()} == {3}
        stored = read_metadata(tmp_path / "logits.parquet")
        assert stored["label_names"] == NAMES and set(stored["gendist"]["inputs"]) == {"texts", "teacher"}
        assert str(tmp_path) not in json.dumps(stored)
        score_files(classifier, [texts], [tmp_path / "again.parquet"], 24)
        assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "logits.parquet").read_bytes()


def test_half_precision_weights_are_scored_in_float32(classifier, test_texts, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(classifier, half)
    BertForSequenceClassification.from_pretrained(classifier, dtype=torch.bfloat16).save_pretrained(half)
    assert load_classifier(str(half), NAMES).dtype == torch.float32
    score_files(half, [test_texts], [tmp_path / "logits.parquet"], 24)
    assert pq.read_table(tmp_path / "logits.parquet").num_rows == 30


def test_logits_files_are_read_in_order_and_cut(tmp_path):
    one = logits_file(tmp_path / "one", [0, 1], [[1, 2], [3, 4]], "row")
    two = logits_file(tmp_path / "two", [2, 3], [[5, 6], [7, 8]], "row")
    keys, logits = read_logits([one, two], "row", 3)
    assert keys.tolist() == [0, 1, 2] and logits.tolist() == [[1, 2], [3, 4], [5, 6]] and logits.dtype == np.float32
    assert len(read_logits([one, two], "row")[0]) == 4
    column = logits_column(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert column.type == pa.list_(pa.float32()) and column.to_pylist() == [[0, 1], [2, 3], [4, 5]]


def test_logits_are_checked_when_read_back(tmp_path):
    path = tmp_path / "l.parquet"
    for keys, logits, message in (
        ([1, 2], [[1.0], [1.0, 2.0]], "differ in length"),
        ([1, 2], [[], []], "empty"),
        ([], [], "no rows"),
        ([1], [[1.0, float("nan")]], "not finite"),
        ([1], [[1.0, float("inf")]], "not finite"),
        ([1, 1], [[1.0], [2.0]], "id 1 occurs twice"),
        ([1, None], [[1.0], [2.0]], "column 'id' has empty cells"),
    ):
        with pytest.raises(GendistError, match=rf"l\.parquet: .*{message}"):
            read_logits([logits_file(path, keys, logits)], "id")
    write_parquet(path, pa.table({"id": [1], "logits": [0.5]}), Provenance("logits"))
    with pytest.raises(GendistError, match="'logits' has type double, expected lists of numbers"):
        read_logits([path], "id")
    with pytest.raises(GendistError, match="no column 'row'"):
        read_logits([path], "row")
    narrow = logits_file(tmp_path / "narrow", [2], [[1.0]])
    with pytest.raises(GendistError, match=r"narrow: 1 classes, but .*l\.parquet has 2"):
        read_logits([logits_file(path, [1], [[1.0, 2.0]]), narrow], "id")
    path.write_bytes(b"PAR1 no")
    with pytest.raises(GendistError, match=r"l\.parquet: not a readable Parquet file"):
        read_logits([path], "id")
    with pytest.raises(GendistError, match="no logits files"):
        read_logits([], "row")


def synthetic(path, texts):
    """A shard of generated rows."""
    table = pa.table({"row": pa.array(range(len(texts)), pa.int64()), "text": texts})
    write_parquet(path, table, Provenance("synthetic"))
    return path


@pytest.fixture(scope="module")
def integers(encoder, train_texts, tmp_path_factory):
    """A finetuned teacher that knows by how much integers err, and one that shall not use them."""
    folders = []
    for precision in ("auto", "float32"):
        folders.append(tmp_path_factory.mktemp("teachers") / precision)
        settings = Teacher(model=str(encoder), epochs=6, refit=False, learning_rate=1e-3, precision=precision)
        finetune_teacher(train_texts, folders[-1], settings, device="cpu")
    return folders


def test_the_teacher_records_its_int8_error(integers):
    auto, plain = (json.loads((folder / "config.json").read_text()) for folder in integers)
    assert 0 < auto["int8_error"] < 1 and plain["int8_error"] is None


def test_a_finetuned_teacher_drops_the_int8_record_of_its_source(integers, train_texts, tmp_path):
    settings = Teacher(model=str(integers[0]), epochs=1, refit=False, precision="float32")
    finetune_teacher(train_texts, tmp_path / "again", settings, device="cpu")
    assert json.loads((tmp_path / "again/config.json").read_text())["int8_error"] is None


def test_shards_are_scored_in_int8_and_close_rows_in_float32(integers, tmp_path, caplog):
    texts, _ = sentences(200, 5)
    shard = synthetic(tmp_path / "shard.parquet", texts)
    logits = []
    with caplog.at_level("INFO"):
        for i, folder in enumerate(integers):
            score_files(folder, [shard], [tmp_path / f"{i}.parquet"], 24, device="cpu")
            logits.append(read_logits([tmp_path / f"{i}.parquet"], "row")[1])
    assert "scored in int8, " in caplog.text
    fast, exact = logits
    assert not np.array_equal(fast, exact) and np.abs(fast - exact).mean() < 0.05 * exact.std()
    assert np.array_equal(fast.argmax(1), exact.argmax(1))
    # Which texts stand in the same shard makes no difference.
    score_files(
        integers[0], [synthetic(tmp_path / "part.parquet", texts[50:90])], [tmp_path / "part-logits.parquet"], 24
    )
    assert np.array_equal(read_logits([tmp_path / "part-logits.parquet"], "row")[1], fast[50:90])


def test_real_rows_are_scored_in_float32(integers, test_texts, tmp_path):
    for i, folder in enumerate(integers):
        score_files(folder, [test_texts], [tmp_path / f"{i}.parquet"], 24, device="cpu")
    auto, plain = (read_logits([tmp_path / f"{i}.parquet"], "id")[1] for i in range(2))
    assert np.array_equal(auto, plain)


def test_close_rows_are_those_of_float32(integers):
    folder = integers[0]
    model, tokenizer = load_classifier(str(folder), class_names(folder)).eval(), load_tokenizer(str(folder))
    texts, _ = sentences(100, 6)
    exact = predict_logits(pack_linear_layers(copy.deepcopy(model)), tokenizer, texts, 24, batch_tokens=128)
    logits, again = Int8Cascade(copy.deepcopy(model), tokenizer, 24, error=1e9).logits(texts)
    assert again == 100 and np.array_equal(logits, exact)
    leads = np.sort(exact, 1)
    median = float(np.median(leads[:, -1] - leads[:, -2]))
    logits, again = Int8Cascade(copy.deepcopy(model), tokenizer, 24, error=median).logits(texts)
    assert 30 < again < 70 and (logits == exact).all(1).sum() >= again


def test_int8_scoring_requires_right_padding(integers):
    model = int8_copy(load_classifier(str(integers[0]), class_names(integers[0])))
    with pytest.raises(ValueError, match="padded on the right"):
        model(input_ids=torch.tensor([[0, 5, 6]]), attention_mask=torch.tensor([[0, 1, 1]]))


def test_other_architectures_record_nothing(gpt2):
    model = load_classifier(str(gpt2), NAMES)
    assert int8_error(model, None, [], 24) is None

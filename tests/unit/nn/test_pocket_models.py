"""The packaged pocket models: card, hashes, and the folders they unpack to."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from gendist.errors import GendistError
from gendist.io.provenance import hash_file
from gendist.nn.pocket import minilm, packaged_files, unpack_generator
from gendist.nn.pocket.weight_quantization import SCALE, dequantize, quantize
from tools.pocket import model_card as card
from tools.pocket.evaluate_generator import nats_per_character
from tools.pocket.pretraining_settings import Pretraining

pytest_plugins = ["pocket_fixtures"]


class TestQuantization:
    def test_rounds_rows_of_matrices_and_keeps_everything_else_in_float16(self):
        rows = torch.tensor([[-2.54, 0.02, 1.0], [0.0, 0.0, 0.0], [1e-6, -6e-7, 0.0]])
        weights = {"a.weight": rows, "a.bias": torch.tensor([0.1]), "position_embeddings.weight": rows}
        stored = quantize(weights)
        assert {n: (t.dtype, tuple(t.shape)) for n, t in stored.items()} == {
            "a.weight": (torch.int8, (3, 3)),
            "a.weight.scale": (torch.float32, (3,)),
            "a.bias": (torch.float16, (1,)),
            "position_embeddings.weight": (torch.float16, (3, 3)),
        }
        assert stored["a.weight"].tolist() == [[-127, 1, 50], [0, 0, 0], [127, -76, 0]]
        restored = dequantize(stored)
        assert set(restored) == set(weights) and all(t.dtype == torch.float32 for t in restored.values())
        bound = rows.abs().amax(1, keepdim=True) / 254 * (1 + 1e-6)
        assert ((restored["a.weight"] - rows).abs() <= bound).all()
        again = quantize(restored)
        assert torch.equal(again["a.weight"], stored["a.weight"]), "what was rounded once stays"

    def test_the_int8_file_restores_the_final_weights_within_half_a_level(self, trained: Pretraining):
        stored, checkpoint = load_file(trained.weights), load_file(trained.checkpoint)
        ended = {n.removeprefix("weight "): t for n, t in checkpoint.items() if n.startswith("weight ")}
        restored = dequantize(stored)
        assert set(restored) - set(ended) == {"bert.embeddings.token_type_embeddings.weight"}
        for name, weight in ended.items():
            scale = stored[name + ".scale"].max() if name + ".scale" in stored else weight.abs().max() / 1000
            error = restored[name] - weight[: len(restored[name])]
            assert error.abs().max() <= scale * 0.51, name


class TestUnpack:
    def test_loads_as_an_ordinary_folder_with_the_trained_weights(self, installed: Path, tmp_path: Path):
        target = tmp_path / "unpacked"
        unpack_generator.unpack_generator(target, installed)
        model, info = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32, output_loading_info=True)
        assert not any(info.values()), info
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        assert model.get_output_embeddings().bias is model.cls.predictions.bias
        expected = dequantize(load_file(installed / packaged_files.WEIGHTS))
        weights = dict(model.named_parameters())
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
        # Causal: a later token changes no earlier logit.
        ids = torch.arange(40)[None]
        changed = ids.clone()
        changed[0, -1] = 7
        model.eval()
        torch.testing.assert_close(model(input_ids=changed).logits[:, :-1], model(input_ids=ids).logits[:, :-1])
        inputs = json.loads((target / "gendist.json").read_text())["inputs"]
        assert inputs == {name: hash_file(installed / name) for name in packaged_files.GENERATOR}

    def test_tokenizer_neither_cuts_nor_pads_and_has_its_boundaries(self, installed: Path, tmp_path: Path):
        unpack_generator.unpack_generator(tmp_path / "unpacked", installed)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "unpacked")
        assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("[CLS]", "[SEP]", "[PAD]")
        assert tokenizer("the river").input_ids == [4, *tokenizer("the river", add_special_tokens=False).input_ids]
        assert len(tokenizer("the " * 30).input_ids) == 31
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "unpacked")
        assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (4, 1, 0)
        assert model.generation_config.eos_token_id == 1
        rows = model.generate(**tokenizer("the river", return_tensors="pt"), max_new_tokens=5)
        assert 4 <= rows.shape[1] <= 3 + 5 + len("the river")

    def test_unpacking_twice_gives_equal_bytes(self, installed: Path, tmp_path: Path):
        for name in ("a", "b"):
            unpack_generator.unpack_generator(tmp_path / name, installed)
        files = sorted(p.name for p in (tmp_path / "a").iterdir())
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)
        assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in files)

    def test_needs_no_other_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(minilm, "files", lambda name: pytest.fail(f"looked for package {name}"))
        minilm.encoder_folder.cache_clear()
        unpack_generator.unpack_generator(tmp_path / "unpacked")

    @pytest.mark.parametrize("name", [*packaged_files.GENERATOR, *packaged_files.SUBWORD_FILES])
    def test_a_damaged_or_missing_file_is_one_line(self, installed: Path, tmp_path: Path, name: str):
        def use():
            if name in packaged_files.GENERATOR:
                unpack_generator.unpack_generator(tmp_path / "unpacked", installed)
            else:
                packaged_files.packaged_subwords(installed)

        use()
        content = (installed / name).read_bytes()
        (installed / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(GendistError, match=rf"{name}: sha256 is \w+, expected \w+; reinstall gendist$"):
            use()
        (installed / name).unlink()
        with pytest.raises(GendistError, match=f"{name} is missing"):
            use()


class TestCard:
    def test_is_filled_between_its_markers_and_can_be_filled_again(self, recipe: Path, installed: Path):
        once = (installed / "README.md").read_text()
        assert once.startswith(f"# Card\n\n{card.FIGURES_BEGIN}\n") and once.endswith(f"{card.FIGURES_END}\n\nafter\n")
        assert "old" not in once and "| news | 7 | 1.250 |" in once and "seconds 12" in once and "| 768 |" in once
        card.install_models(recipe, models=installed)
        assert (installed / "README.md").read_text() == once

    def test_scores_outlive_a_second_evaluation_but_not_other_weights(self, recipe: Path, tmp_path: Path):
        for name in (packaged_files.WEIGHTS, packaged_files.VECTORS, card.FIGURES_FILE):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((recipe / name).read_bytes())
        more = {"wiki": {"rows": 1, "nats_per_character": 2.0}}
        assert set(card.write_figures(tmp_path, more)["nats_per_character"]) == {"news", "wiki"}
        (tmp_path / packaged_files.WEIGHTS).write_bytes((recipe / packaged_files.VECTORS).read_bytes())
        assert card.write_figures(tmp_path, {})["nats_per_character"] == {}

    def test_the_packaged_card_has_a_place_for_figures(self):
        text = (packaged_files.MODELS / card.CARD_FILE).read_text(encoding="utf-8")
        assert card.FIGURES_BEGIN in text and card.FIGURES_END in text
        assert "Apache-2.0" in text and "CC BY-SA" in text


class TestPackagedModels:
    def test_are_whole_and_small(self):
        for name in packaged_files.FILES:
            packaged_files.verified_file(name)
        models = {
            f.relative_to(packaged_files.MODELS).as_posix() for f in packaged_files.MODELS.rglob("*") if f.is_file()
        }
        assert models == {*packaged_files.FILES, packaged_files.HASHES, card.FIGURES_FILE, card.CARD_FILE}
        assert sum((packaged_files.MODELS / name).stat().st_size for name in models) < 52_000_000

    def test_generator_is_int8_at_rest_with_a_scale_per_row(self):
        stored = load_file(packaged_files.MODELS / packaged_files.WEIGHTS)
        matrices = {name for name, tensor in stored.items() if tensor.dtype == torch.int8}
        assert len(matrices) == 12 * 6 + 2
        assert {name for name in stored if name.endswith(SCALE)} == {name + SCALE for name in matrices}
        again = quantize(dequantize(stored))
        assert again.keys() == stored.keys()
        assert all(torch.equal(again[n], stored[n]) for n in stored if not n.endswith(SCALE))

    def test_generator_unpacks_and_predicts_better_than_chance(self, tmp_path: Path):
        unpack_generator.unpack_generator(tmp_path / "generator")
        model, info = AutoModelForCausalLM.from_pretrained(
            tmp_path / "generator", dtype=torch.float32, output_loading_info=True
        )
        assert not any(info.values()), info
        text = "The river rises in the mountains and flows south through the city before it reaches the sea."
        assert (
            nats_per_character(
                model.eval(), Tokenizer.from_file(str(packaged_files.MODELS / packaged_files.TOKENIZER)), [text]
            )
            < 0.8
        )

    def test_vectors_fit_the_tokenizer(self):
        folder = packaged_files.packaged_subwords()
        vectors = load_file(folder / "vectors.safetensors")["vectors"]
        assert vectors.shape == (Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(), 100)
        assert not vectors[0].any()

    def test_nearest_vectors_of_a_piece_are_related_words(self):
        folder = packaged_files.packaged_subwords()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        vectors = torch.nn.functional.normalize(load_file(folder / "vectors.safetensors")["vectors"].float())
        nearest = (vectors @ vectors[tokenizer.token_to_id("river")]).topk(20).indices.tolist()
        water = {"lake", "rivers", "creek", "valley", "basin", "bay", "stream", "canal", "creeks", "lakes"}
        assert len(water & {tokenizer.id_to_token(row) for row in nearest}) >= 2

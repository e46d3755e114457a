"""The packaged pocket models: card, hashes, and the folders they unpack to."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, BertLMHeadModel

from gendist.errors import GendistError
from gendist.pocket import card, packaged, unpack
from gendist.pocket.evaluate import nats_per_character
from gendist.pocket.model import encoder_tokenizer, load_body, warm_start
from gendist.pocket.settings import Pretraining

pytest_plugins = ["pocket_fixtures"]


class TestUnpack:
    def test_loads_as_an_ordinary_folder_with_the_trained_weights(
        self, trained: Pretraining, trained_model: BertLMHeadModel, installed: Path, tmp_path: Path
    ):
        target = tmp_path / "unpacked"
        unpack.unpack_generator(target, installed, trained.base)
        model, info = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32, output_loading_info=True)
        assert not any(info.values()), info
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        ids = torch.arange(40)[None]
        expected = trained_model(input_ids=ids).logits
        torch.testing.assert_close(model.eval()(input_ids=ids).logits, expected, atol=1e-2, rtol=1e-2)
        # Causal: a later token changes no earlier logit.
        changed = ids.clone()
        changed[0, -1] = 7
        torch.testing.assert_close(model(input_ids=changed).logits[:, :-1], model(input_ids=ids).logits[:, :-1])
        assert json.loads((target / "gendist.json").read_text())["source_models"].keys() == {"tiny-bert"}

    def test_tokenizer_neither_cuts_nor_pads_and_knows_its_boundaries(
        self, trained: Pretraining, installed: Path, tmp_path: Path
    ):
        unpack.unpack_generator(tmp_path / "unpacked", installed, trained.base)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "unpacked")
        assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("[CLS]", "[SEP]", "[PAD]")
        assert tokenizer("the river").input_ids == [4, *tokenizer("the river", add_special_tokens=False).input_ids]
        assert len(tokenizer("the " * 30).input_ids) == 31
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "unpacked")
        assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (4, 1, 0)
        assert model.generation_config.eos_token_id == 1
        rows = model.generate(**tokenizer("the river", return_tensors="pt"), max_new_tokens=5)
        assert 4 <= rows.shape[1] <= 3 + 5 + len("the river")

    def test_unpacking_twice_gives_equal_bytes(self, trained: Pretraining, installed: Path, tmp_path: Path):
        for name in ("a", "b"):
            unpack.unpack_generator(tmp_path / name, installed, trained.base)
        files = sorted(p.name for p in (tmp_path / "a").iterdir())
        assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in files)

    @pytest.mark.parametrize("name", [packaged.BODY, packaged.PIECES, packaged.VECTORS])
    def test_a_damaged_or_missing_file_is_one_line(
        self, trained: Pretraining, installed: Path, tmp_path: Path, name: str
    ):
        def use():
            if name == packaged.BODY:
                unpack.unpack_generator(tmp_path / "unpacked", installed, trained.base)
            else:
                packaged.packaged_subwords(installed)

        use()
        content = (installed / name).read_bytes()
        (installed / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(GendistError, match=rf"{name}: sha256 is \w+, expected \w+; reinstall gendist$"):
            use()
        (installed / name).unlink()
        with pytest.raises(GendistError, match=f"{name} is missing"):
            use()

    def test_a_body_of_another_encoder_is_refused(self, trained: Pretraining, recipe: Path):
        with pytest.raises(GendistError, match="not those of this encoder's body"):
            load_body(warm_start(base=trained.base), recipe / packaged.VECTORS)


class TestCard:
    def test_is_filled_between_its_markers_and_can_be_filled_again(self, recipe: Path, installed: Path):
        once = (installed / "README.md").read_text()
        assert once.startswith(f"# Card\n\n{card.BEGIN}\n") and once.endswith(f"{card.CLOSE}\n\nafter\n")
        assert "old" not in once and "| news | 7 | 1.250 |" in once and "tokens 768" in once
        card.install(recipe, installed)
        assert (installed / "README.md").read_text() == once

    def test_scores_outlive_a_second_evaluation_but_not_another_body(self, recipe: Path, tmp_path: Path):
        for name in (packaged.BODY, packaged.VECTORS, card.FIGURES):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes((recipe / name).read_bytes())
        more = {"wiki": {"rows": 1, "nats_per_character": 2.0}}
        assert set(card.write_figures(tmp_path, more)["nats_per_character"]) == {"news", "wiki"}
        (tmp_path / packaged.BODY).write_bytes((recipe / packaged.VECTORS).read_bytes())
        assert card.write_figures(tmp_path, {})["nats_per_character"] == {}

    def test_the_packaged_card_has_a_place_for_figures(self):
        text = (packaged.MODELS / card.CARD).read_text(encoding="utf-8")
        assert card.BEGIN in text and card.CLOSE in text
        assert "Apache-2.0" in text and "CC BY-SA" in text


class TestPackagedModels:
    def test_are_whole_and_small(self):
        for name in (packaged.BODY, packaged.PIECES, packaged.VECTORS):
            packaged.packaged(name)
        assert sum(f.stat().st_size for f in packaged.MODELS.rglob("*") if f.is_file()) < 25_000_000

    def test_generator_unpacks_and_predicts_better_than_chance(self, tmp_path: Path):
        unpack.unpack_generator(tmp_path / "generator")
        model, info = AutoModelForCausalLM.from_pretrained(
            tmp_path / "generator", dtype=torch.float32, output_loading_info=True
        )
        assert not any(info.values()), info
        text = "The river rises in the mountains and flows south through the city before it reaches the sea."
        assert nats_per_character(model.eval(), encoder_tokenizer(), [text]) < 1.4

    def test_vectors_fit_the_tokenizer(self):
        folder = packaged.packaged_subwords()
        vectors = load_file(folder / "vectors.safetensors")["vectors"]
        assert vectors.shape == (Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(), 100)
        assert not vectors[0].any()

    def test_vectors_know_what_goes_together(self):
        folder = packaged.packaged_subwords()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        vectors = torch.nn.functional.normalize(load_file(folder / "vectors.safetensors")["vectors"].float())
        nearest = (vectors @ vectors[tokenizer.token_to_id("river")]).topk(20).indices.tolist()
        water = {"lake", "rivers", "creek", "valley", "basin", "bay", "stream", "canal", "creeks", "lakes"}
        assert len(water & {tokenizer.id_to_token(row) for row in nearest}) >= 2

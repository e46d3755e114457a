"""Generated text without the blanks of tokenisation: right where it is tokenised, unchanged where it is not."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.decoders import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from gendist.nn.pocket.minilm import encoder_folder
from gendist.nn.pocket.pocket_tokenizer import generator_tokenizer
from gendist.stages.synthetic.detokenize import detokenize

DATA = Path(__file__).parents[3] / "data/newsbriefs"

TOKENISED = {
    # apostrophes
    "st. mary ' s school": "st. mary's school",
    "it ' s , and we ' re sure they don ' t": "it's, and we're sure they don't",
    "i ' d say he ' ll go , i ' m told they ' ve gone": "i'd say he'll go, i'm told they've gone",
    "o ' brien beat n ' djamena": "o'brien beat n'djamena",
    "rock ' n ' roll in the ' 90s": "rock 'n' roll in the '90s",
    "it ’ s the shops ’ “ big day ”": "it’s the shops’ “big day”",
    # possessives of plurals beside quotations
    "the workers ' union": "the workers' union",
    "the workers ' union said ' we fight ' .": "the workers' union said 'we fight'.",
    "' the workers ' union is here , ' he said": "'the workers' union is here,' he said",
    "the league bans ' quick - cancel ' mode": "the league bans 'quick-cancel' mode",
    "he says ' no ' again": "he says 'no' again",
    # quotations
    '" hello " , he said': '"hello", he said',
    'he said " hello " and " bye . "': 'he said "hello" and "bye."',
    "she said , \" we ' ll go": "she said, \"we'll go",
    'and went home . "': 'and went home."',
    # hyphens and dashes
    "kick - off after a 3 - 2 win": "kick-off after a 3-2 win",
    "first - and second - graders": "first- and second-graders",
    "state - of - the - art , off - the - shelf": "state-of-the-art, off-the-shelf",
    "tokyo ( ap ) - the wire": "tokyo (ap) - the wire",
    "it rained - the match was off": "it rained - the match was off",
    "sorry - - wrong number": "sorry -- wrong number",
    "minus ; - 11c": "minus; -11c",
    "from 10 – 12 – perhaps": "from 10–12 – perhaps",
    # numbers
    "$ 5 . 2 million": "$5.2 million",
    "$ 5. 2 million": "$5.2 million",
    "3 , 000 at 10 : 30 , 50 % of # 1": "3,000 at 10:30, 50% of #1",
    "80, 300 and 1 , 250 , 300 - fold": "80,300 and 1,250,300-fold",
    "1 , 2 , 3 , 4000 ( all )": "1, 2, 3, 4000 (all)",
    "it ended in 2019 . 300 men left ( all )": "it ended in 2019. 300 men left (all)",
    # ends, brackets, abbreviations, addresses
    "u . s . troops , 4p . m . and i . e . now": "u.s. troops, 4p.m. and i.e. now",
    "u. s. troops ( all )": "u.s. troops (all)",
    "wait . . . what ? !": "wait... what?!",
    "one [ two ] ; { x } : y": "one [two]; {x}: y",
    "and / or w / o w / tea": "and/or w/o w/ tea",
    "r & d , at & t , salt & pepper": "r&d, at&t, salt & pepper",
    "http : / / www . example . com / a": "http://www.example.com/a",
    "😀 naïve , 你 好 ( 世 界 )": "😀 naïve, 你 好 (世 界)",
    "'": "'",
}

ORDINARY = (
    "",
    " ",
    "no marks at all",
    'It\'s a kick-off, (AP) - "hello" at 10:30 in the U.S.',
    "it's lower-case already - really, 50% of it",
    "we left in may 5, 200 men came. 3 stayed",
    "said it . . . all in Upper case ( sometimes )",
    "two  blanks ( kept )",
    "a line\nand ( another )",
    "你好，世界。（测试）",
    "привет , Мир ( да )",
    "😀🎉",
)


@pytest.mark.parametrize(("tokenised", "readable"), TOKENISED.items())
def test_tokenised_text_comes_out_as_people_write_it(tokenised, readable):
    assert detokenize(tokenised) == readable
    assert detokenize(readable) == readable


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text):
    assert detokenize(text) == text


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from([*"\"'’“”.,:;!?-–()/$%#&*+_@", "s", "n", "the", "workers", "5", "000", "é", "好"])))
def test_only_blanks_change_and_only_once(tokens):
    text = " ".join(tokens)
    once = detokenize(text)
    assert once.replace(" ", "") == text.replace(" ", "")
    assert detokenize(once) == once


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_is_taken(text):
    once = detokenize(text)
    assert once.replace(" ", "") == text.replace(" ", "") and detokenize(once) == once


@pytest.fixture(scope="module")
def real():
    rows = []
    for name in ("train", "test"):
        with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows += [row["text"] for row in csv.DictReader(file)]
    assert len(rows) == 2100
    return rows


def test_real_rows_stay_as_they_are(real):
    assert [text for text in real if detokenize(text) != text] == []


@pytest.mark.parametrize("form", ["every mark alone", "as decoded"])
def test_tokenised_real_rows_come_back(real, form):
    """At least 99.8 % of the characters have a blank before them exactly where the real row has one."""
    normalizer, splitter, tokenizer = (
        BertNormalizer(lowercase=True),
        BertPreTokenizer(),
        generator_tokenizer(encoder_folder()),
    )
    assert isinstance(tokenizer.decoder, WordPiece)
    characters = wrong = wrong_before = exact = 0
    for text in real:
        lowered = " ".join(normalizer.normalize_str(text).split())
        if form == "as decoded":
            tokenised = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids)
        else:
            tokenised = " ".join(piece for piece, _ in splitter.pre_tokenize_str(lowered))
        found = detokenize(tokenised)
        assert found.replace(" ", "") == lowered.replace(" ", "")
        wrong += differences(found, lowered)
        wrong_before += differences(tokenised, lowered)
        characters += len(lowered)
        exact += found == lowered
    assert wrong < 0.002 * characters and wrong_before > 0.015 * characters
    assert exact > 0.9 * len(real)


def differences(text, other):
    """Count the blanks that one of two texts of the same other characters has and the other lacks."""
    return len(blanks(text) ^ blanks(other))


def blanks(text):
    """Return how many other characters stand before each run of blanks."""
    found, before = set(), 0
    for c in text:
        if c == " ":
            found.add(before)
        else:
            before += 1
    return found

"""The table of characters is what ``tools/bert_characters.py`` writes."""

import json

from gendist.predict.bert_normalizer import CHARACTERS
from tools.bert_characters import characters


def test_the_table_is_that_of_the_library():
    assert json.loads(CHARACTERS.read_text(encoding="utf-8")) == characters()

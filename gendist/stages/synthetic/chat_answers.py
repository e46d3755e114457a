"""Answers of a chat model: reduced to the text that was requested; refusals and echoes are recognised."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gendist.stages.synthetic.chat_prompts import ChatPrompt

FINISH = ("stop", "length", "empty", "refusal", "echo")
"""Values of a shard's ``finish``: ended by the model, cut, without a letter or digit, refused, a copy of the prompt."""
ECHO_SHARE = 0.8
"""Share of an answer's runs of three words that one example (or the instruction) has, from which it is an echo."""
RUN = 3

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\A```[\w-]*\n(.*?)\n?```\Z", re.DOTALL)
_LEAD_IN = re.compile(
    r"\A(?:sure|certainly|of course|absolutely|okay|ok|great|here(?:'s|\u2019s| is| are)|(?:new |another )?text)\b"
    r"[^\n]{0,150}:[*_]*[ \t]*\n+",
    re.IGNORECASE,
)
_NUMBER = r"(?:[*_#]{0,3}[ \t]*(?:example|text)[ \t]*\d{1,3}[ \t]*[*_]{0,3}[ \t]*:[ \t]*[*_]{0,3})"
_FIRST_NUMBER = re.compile(rf"\A(?:{_NUMBER}|1[.)](?=\s))\s*", re.IGNORECASE)
_NEXT_NUMBER = re.compile(rf"\n\s*(?:{_NUMBER})", re.IGNORECASE)
_NEXT_ITEM = re.compile(r"\n\s*2[.)]\s")
_QUOTES = (('"', '"'), ("\u201c", "\u201d"), ("'", "'"), ("\u00ab", "\u00bb"), ("\u201e", "\u201c"))
_APOLOGY = r"(?:(?:i['\u2019]?m|i am|we['\u2019]?re)? ?(?:very |so )?sorry|my apologies|i apologi[sz]e|unfortunately)"
_CANNOT = r"(?:can['\u2019]?t|can ?not|(?:am|['\u2019]m) (?:not able|unable)|won['\u2019]?t|will not|must decline)"
_TASK = (
    r"(?:assist|help (?:you )?with (?:that|this)|comply|fulfil+|generate|create|write|provide|produce|continue|do that)"
)
_MODEL = r"an? (?:ai|artificial intelligence|(?:large )?language model)"
_REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\A{_APOLOGY}\b.{{0,40}}?\bi ?{_CANNOT} (?:to )?(?:\w+ )?{_TASK}\b",
        rf"\Ai ?{_CANNOT} (?:to )?(?:\w+ )?{_TASK}\b",
        rf"\A\W*as {_MODEL}\b",
        rf"\bi(?:['\u2019]m| am) (?:just |only )?{_MODEL}\b",
    )
)


@dataclass(frozen=True)
class Answer:
    """Answer of a chat model for one row."""

    number: int
    """Number of the row in the pool."""
    text: str
    """Text of the answer, unmodified."""
    reason: str
    """Finish reason: ``stop``, ``length``, or ``refusal`` if the server reports it."""
    prompt_tokens: int | None = None
    """Tokens of the prompt; None if the server does not report them."""
    completion_tokens: int | None = None
    """Tokens of the answer; None if the server does not report them."""


def parse_answer(answer: str) -> str:
    """Return the text in an answer: without thoughts, lead-in, numbering, further texts, code fence and quotes."""
    text = _THOUGHT.sub("", answer).strip()
    if fenced := _FENCE.search(text):
        text = fenced[1].strip()
    text = _LEAD_IN.sub("", text).strip()
    numbered = _FIRST_NUMBER.match(text)
    if numbered:
        text = text[numbered.end() :]
    if following := (_NEXT_NUMBER.search(text) or (numbered and _NEXT_ITEM.search(text))):
        text = text[: following.start()]
    text = text.strip()
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text[0] == opening and text[-1] == closing and not {opening, closing} & set(inner):
            return inner.strip()
    return text


def judge_answer(answer: Answer, prompt: ChatPrompt, instruction: str) -> tuple[str, str]:
    """Return the text of an answer, and its ``finish``.

    Args:
        answer: the answer.
        prompt: the prompt that it answers.
        instruction: the prompt without examples.
    """
    text = parse_answer(answer.text)
    if answer.reason == "refusal" or is_refusal(text):
        return text, "refusal"
    if not any(map(str.isalnum, text)):
        return "", "empty"
    if is_echo(text, [*prompt.examples, instruction]):
        return text, "echo"
    return text, answer.reason


def is_refusal(text: str) -> bool:
    """Return whether a text is an English refusal, such as "I'm sorry, but I can't help with that"."""
    return any(pattern.search(text[:300]) for pattern in _REFUSALS)


def is_echo(text: str, shown: Sequence[str]) -> bool:
    """Return whether a text repeats one of the shown ones: the same words, or ``ECHO_SHARE`` of its runs."""
    words = _words(text)
    runs = _runs(words)
    for other in map(_words, shown):
        if words == other:
            return True
        if runs and len(runs & _runs(other)) >= ECHO_SHARE * len(runs):
            return True
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}

"""The words of a limit's text: plain ones, quoted ones, and the marks `,|=()` between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tracetoll.limits.limit import WrongLimitError

if TYPE_CHECKING:
    from collections.abc import Collection

_WORD: Final = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\\n]|\\.)*)"|(?P<mark>[,|=()])|(?P<plain>[^\s,|=()";]+))')
_PLAIN: Final = re.compile(r'[^\s,|=()";]+')
_ESCAPED: Final = re.compile(r"\\(.)")


class Word(NamedTuple):
    """One word: its text, the quotes undone."""

    text: str
    keyword: str
    """What it may be a word of the grammar as: in lower case, and empty for marks and quoted text."""
    is_mark: bool


_END: Final = Word("", "", is_mark=True)


class Words:
    """The words of a text, one after the other."""

    def __init__(self, text: str) -> None:
        self._rest = list(_read(text))[::-1]

    @property
    def ended(self) -> bool:
        """Whether there are no more."""
        return not self._rest

    @property
    def next(self) -> Word:
        """The word to come; an empty mark at the end."""
        return self._rest[-1] if self._rest else _END

    def take(self) -> Word:
        """Return the next word, and move on."""
        return self._rest.pop()

    def skip(self, mark: str) -> bool:
        """Move on if a mark comes next, and tell whether it does."""
        found = self.next.is_mark and self.next.text == mark
        if found:
            self._rest.pop()
        return found


def _read(text: str) -> list[Word]:
    words: list[Word] = []
    end, position = len(text.rstrip()), 0
    while position < end:
        found = _WORD.match(text, position)
        if found is None:
            problem = f'{text[position:].strip()!r} begins with a quote that is not closed; write a " at its end, too'
            raise WrongLimitError(key="limit", problem=problem)
        words.append(_word(found))
        position = found.end()
    return words


def _word(found: re.Match[str]) -> Word:
    kind, text = str(found.lastgroup), found[str(found.lastgroup)]
    if kind == "quoted":
        return Word(_ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], text), "", is_mark=False)
    return Word(text, text.lower() if kind == "plain" else "", is_mark=kind == "mark")


def quoted(text: str, keywords: Collection[str]) -> str:
    """Return the text as one word: in quotes where it would be read as several, or as one of the keywords."""
    if _PLAIN.fullmatch(text) and text.lower() not in keywords:
        return text
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'

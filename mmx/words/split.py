"""A caption as words: the one rule by which vocabularies, concepts and token ids are counted and looked up.

Words are lower-case runs of letters, marks and digits; whatever else stands between them parts them. What is
kept together or dropped:

    t-shirt, snow-covered           a hyphen between letters stays; "dog - cat", "dog--cat" are two words
    don't, they're                  an apostrophe within a word stays, also where a tokenizer cut: "do n't"
    a dog's ball, a dog 's ball     the possessive goes: a, dog, ball; so does the plural's: "dogs' balls"
    2.5, 1,000                      a number is one word

A language that is written without spaces comes out as one word a phrase.
"""

import re
import unicodedata

APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ＇`´"), "'")
HYPHENS = dict.fromkeys(map(ord, "‐‑‒﹣－"), "-")
INNER_MARKS = "'-.,"
WORD = re.compile(r"[^\s'.,-]+(?:(?:['-]|(?<=\d)[.,](?=\d))[^\s'.,-]+)*")
POSSESSIVE = re.compile(r"\s*'s(?![^\s'.,-])")
CUT_OFF = re.compile(r"\s+(n't|'(?:re|ve|ll|m|d))(?![^\s'.,-])")


class _Plain(dict[int, str]):
    """For `str.translate`: letters, marks and digits stay, format characters vanish, the rest parts words."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        if kind[0] in "LMN" or char in INNER_MARKS:
            self[code] = char
        else:
            self[code] = "" if kind == "Cf" and char != "\u200b" else " "
        return self[code]


_PLAIN = _Plain(APOSTROPHES | HYPHENS)


def split_words(caption: str) -> list[str]:
    """The words of a caption in their order; none for a caption of punctuation alone."""
    plain = unicodedata.normalize("NFKC", caption.translate(APOSTROPHES)).lower().translate(_PLAIN)
    if "'" in plain:
        plain = POSSESSIVE.sub(" ", CUT_OFF.sub(r"\1", plain))
    return WORD.findall(plain)

"""What kind of word each word of some captions is, and its dictionary form; English.

A tagger says what each occurrence is. It knows words better than sentences (every "jumps" is a plural to
it), so that a dictionary and the words beside an occurrence may overrule it. The majority of all occurrences
decides.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from lemminflect import getAllLemmas
from textblob.en import tag
from textblob.en.inflect import singularize

OBJECT, PROPERTY, MOTION, OTHER = "object", "property", "motion", "other"
KINDS = (OBJECT, PROPERTY, MOTION)
DICTIONARY_KINDS = {"NOUN": OBJECT, "ADJ": PROPERTY, "VERB": MOTION}
# Penn tags, cut to two letters
KIND_OF_TAG = {"NN": OBJECT, "JJ": PROPERTY, "CD": PROPERTY, "VB": MOTION}
ANNOUNCES_A_NOUN = {"DT", "JJ", "CD", "PRP$"}
SUBJECTS = {"NN", "NNS", "NNP", "NNPS", "PRP", "WP", "WDT"}
BE = {"is", "are", "be", "been", "was", "were", "being"}
# the second word of "hula hoops" follows a noun as that of "a man smiles" does: a verb must be seen clearly
LEAST_VERB_SHARE = 0.6
# the dictionary has no word that is written with a capital
DEMONYM = re.compile(r".(?:ian|ican|ese|ish)$")
# plurals that mean something else than several of their singular
OWN_SENSE = {"glasses", "woods"}
# two spellings of one word, which the dictionary keeps apart
SPELLINGS = {
    "grey": "gray",
    "blonde": "blond",
    "colour": "color",
    "colourful": "colorful",
    "coloured": "colored",
}

Lemmas = Mapping[str, str]
"""Kind -> dictionary form, for each kind as which the dictionary knows a word."""


def count_kinds(captions: Iterable[Sequence[str]]) -> dict[str, Counter[str]]:
    """Captions as words -> for each word, how often it is an object, a property, a motion or another."""
    known: dict[str, Lemmas] = {}
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for words in filter(None, captions):
        tags = [said for _, said in tag(" ".join(words), tokenize=False)]
        previous_words, tags_before, tags_after = ["", *words[:-1]], ["", *tags[:-1]], [*tags[1:], ""]
        for word, said, previous, before, after in zip(
            words, tags, previous_words, tags_before, tags_after, strict=True
        ):
            if word not in known:
                known[word] = lemmas_of(word)
            kinds[word][_kind(word, said, known[word], previous, before, after)] += 1
    return dict(kinds)


def main_kind(counts: Counter[str]) -> str:
    """What a word is for the most part; a motion only where that is clear."""
    if counts[MOTION] >= LEAST_VERB_SHARE * counts.total():
        return MOTION
    return max((OBJECT, PROPERTY, OTHER), key=lambda kind: counts[kind])


def lemmas_of(word: str) -> Lemmas:
    """Kind -> dictionary form: "dogs" -> {object: dog}, "ran" -> {motion: run}; empty for an unknown word."""
    # The dictionary alone: its rules for unknown words make "shirtle" of "shirtless".
    found = {
        DICTIONARY_KINDS[kind]: forms
        for kind, forms in getAllLemmas(word).items()
        if kind in DICTIONARY_KINDS
    }
    verbs = found.get(MOTION, ())
    lemmas = {kind: forms[0] for kind, forms in found.items()}
    # "leaves" is both that of "leave" and that of "leaf"
    things = [form for form in found.get(OBJECT, ()) if form not in verbs and form != word]
    return {**lemmas, OBJECT: things[0]} if things else lemmas


def dictionary_form(word: str, kind: str, words: Collection[str]) -> str:
    """The form under which a word of a kind is looked up: "men" -> "man", "riding" -> "ride".

    A noun that the dictionary does not know ("frisbees") gives its singular if that is among `words`.
    """
    if word in OWN_SENSE:
        return word
    lemmas = lemmas_of(word)
    if kind == OBJECT and not lemmas:
        singular = singularize(word)
        return singular if singular in words else word
    form = lemmas.get(kind, word)
    return SPELLINGS.get(form, form)


def _kind(word: str, said: str, lemmas: Lemmas, previous: str, before: str, after: str) -> str:
    """What one occurrence is. `said` is its tag, `before` and `after` those of the words beside it."""
    kind = KIND_OF_TAG.get(said[:2], OTHER)
    if kind == OTHER or said == "CD":
        return kind
    is_before_a_noun = after.startswith("NN")
    if not lemmas:
        # unknown to the dictionary: "a snow-covered hill" and "an asian woman", but "a t-shirt"
        if kind == PROPERTY:
            return PROPERTY if is_before_a_noun else OBJECT
        return PROPERTY if DEMONYM.search(word) else kind
    if said == "VBN" and is_before_a_noun:
        return PROPERTY
    if kind != PROPERTY and OBJECT in lemmas and MOTION in lemmas:
        return _noun_or_verb(word, lemmas[MOTION], previous, before) or kind
    if kind not in lemmas and len(lemmas) == 1 and word not in lemmas.values():
        return next(iter(lemmas))
    return kind


def _noun_or_verb(word: str, verb: str, previous: str, before: str) -> str | None:
    """What the word before says of one that may be either; None if it says nothing."""
    if before in {"TO", "MD"}:
        return MOTION
    if previous in BE:
        return MOTION if word.endswith("ing") and word != verb else None
    if before in ANNOUNCES_A_NOUN:
        return OBJECT
    # "a brick wall" is no sentence, "people jump" is one
    if before in SUBJECTS and (before == "NNS" or word != verb):
        return MOTION
    return None

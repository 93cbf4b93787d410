"""Words of grammar: they stand in every caption, and say nothing of what is seen. English."""

ARTICLES = "a an the this that these those some any each every no"
LINKS = """
    about above across after against along amid among and around as at away be been before behind being below
    beneath beside besides between beyond but by down during for from if in inside into is isn't it its itself
    like near next nor of off on onto or out outside over past so than then through throughout to together
    toward towards under underneath until up upon via was were when where which while who whom whose with
    within without
"""
PRONOUNS = """
    he she they them their theirs him his her hers himself herself themselves we us our you your i me my
    something someone there here
"""
AUXILIARIES = "am are do does did has have having had can could will would may might must shall should not"

GRAMMAR = frozenset(" ".join((ARTICLES, LINKS, PRONOUNS, AUXILIARIES)).split())


def is_grammar(word: str) -> bool:
    """Whether a word is one of these, or no word at all but a mark."""
    return word.lower() in GRAMMAR or not any(letter.isalnum() for letter in word)

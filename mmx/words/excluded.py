"""Words that never become a concept: those that could stand in the caption of any picture.

Words of grammar are left out by their part of speech. These are nouns, adjectives and verbs by form that
say nothing of what is seen: auxiliaries, and verbs that need another one to say what happens; words for the
picture itself, and for places within it; words that only point, compare, or count vaguely.
"""

AUXILIARIES = """
    be have do get make take give put let keep go come try attempt begin start seem appear become use
    happen prepare continue set say see
"""
THE_PICTURE = """
    photo photograph picture image pic snapshot view shot closeup close-up scene video portrait
"""
PLACES_IN_IT = """
    front back side top bottom middle center centre end left right rear background foreground distance
    next past nearby way direction point place spot area
"""
POINTING = """
    thing something anything nothing everything someone somebody anyone nobody everyone object item
    other others another same own such different various several many much more most few less whilst
    first last second third ready able
"""
AMOUNTS = """
    number lot piece bit part pair kind sort type variety time life
"""

EXCLUDED = frozenset("".join((AUXILIARIES, THE_PICTURE, PLACES_IN_IT, POINTING, AMOUNTS)).split())

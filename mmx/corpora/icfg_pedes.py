"""icfg_pedes: 54,522 crops of 4,102 people with one caption each (Ding et al., arXiv 2107.12666).

Seed 001 calls it a set of 4,000 images; that is about its number of people.
"""

from functools import partial

from mmx.core.corpus import Corpus
from mmx.corpora._person_json import OPTIONS, PersonForm, read_people

FORM = PersonForm(
    name="icfg_pedes",
    lists=("ICFG-PEDES.json", "ICFG_PEDES.json"),
    split_files={},
    images={"train": 34_674, "test": 19_848},
    layout="ICFG-PEDES.json (or ICFG_PEDES.json) and the pictures in imgs.",
)
HELD_OUT = "310"
"""A tenth of the people of train: the published split has no val, and nothing is ever chosen on test."""


CORPUS = Corpus(
    summary="Person search: 54,522 crops of 4,102 people, one caption each (Ding et al. 2021).",
    layout=FORM.layout,
    read=partial(read_people, form=FORM),
    options={**OPTIONS, "holdout": HELD_OUT},
)

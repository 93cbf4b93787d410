"""rstp_reid: 20,505 crops of 4,101 people, five each, with two captions each (Zhu et al., arXiv 2109.05534).

Seed 001 cites another paper for it.
"""

from functools import partial

from mmx.core.corpus import Corpus
from mmx.corpora._person_json import OPTIONS, PersonForm, read_people

FORM = PersonForm(
    name="rstp_reid",
    lists=("data_captions.json",),
    split_files={},
    images={"train": 18_505, "val": 1_000, "test": 1_000},
    layout="data_captions.json and the pictures in imgs.",
)


CORPUS = Corpus(
    summary="Person search: 20,505 crops of 4,101 people, two captions each (Zhu et al. 2021).",
    layout=FORM.layout,
    read=partial(read_people, form=FORM),
    options=OPTIONS,
)

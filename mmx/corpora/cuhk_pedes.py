"""cuhk_pedes: 40,206 crops of 13,003 people, mostly with two captions each (Li et al., CVPR 2017)."""

from functools import partial

from mmx.core.corpus import Corpus
from mmx.corpora._person_json import OPTIONS, PersonForm, read_people

FORM = PersonForm(
    name="cuhk_pedes",
    lists=("reid_raw.json", "caption_all.json"),
    split_files={
        split: (f"caption_{split}.json", f"caption_{split}_new.json") for split in ("train", "val", "test")
    },
    images={"train": 34_054, "val": 3_078, "test": 3_074},
    layout="reid_raw.json (or caption_train.json, caption_val.json, caption_test.json; or caption_all.json, "
    "which has no splits) and the pictures in imgs.",
)


CORPUS = Corpus(
    summary="Person search: 40,206 crops of 13,003 people with captions (Li et al. 2017).",
    layout=FORM.layout,
    read=partial(read_people, form=FORM),
    options=OPTIONS,
)

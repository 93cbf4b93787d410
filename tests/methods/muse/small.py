"""Small settings of muse, and posts to count from."""

from mmx.core.assets import Assets, AssetSource
from mmx.core.record import Record
from mmx.core.settings import resolve
from mmx.methods.muse import METHOD
from mmx.methods.muse.settings import MuseSettings
from tests.methods.doubles import SOURCE

WORDS = ("Anna", "met", "bob", "IN", "Paris")
TAGS = ("B-PER", "O", "B-PER", "O", "B-LOC")
POSTS = tuple(
    Record(
        str(number),
        "train",
        None,
        (" ".join(WORDS),),
        words=WORDS,
        tags=TAGS,
        sentiment=("negative", "positive")[number % 2],
    )
    for number in range(4)
)
POST_SOURCE = AssetSource(POSTS, SOURCE.concepts, SOURCE.word_vectors)


def small_settings(**changes: object) -> MuseSettings:
    """The tiny preset, changed."""
    return resolve(MuseSettings, [("tiny", METHOD.presets["tiny"]), ("test", changes)], "")[0]


def small_assets(settings: MuseSettings) -> Assets:
    """What is counted of the posts."""
    return METHOD.assets(settings, POST_SOURCE)

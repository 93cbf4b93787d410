"""Indexes of photos that are named by their address: a file of a gallery, a file of Milvus, a cluster, or
what a plug-in keeps under a scheme of its own.
"""

import functools
import os
from collections.abc import Mapping
from types import ModuleType

from mmx.core.discover import find_plugin
from mmx.core.errors import ArtifactError, MissingExtraError
from mmx.core.index_keeper import IndexKeeper
from mmx.core.paths import expanded
from mmx.search.gallery_index import GalleryIndex, LocalIndex
from mmx.store.gallery import Gallery
from mmx.store.gallery_header import read_header
from mmx.store.tensors import TensorFile
from mmx.workflows.picture_columns import folder_columns

GALLERY_FILE, MILVUS_FILE = ".safetensors", ".db"
PLUGINS = "mmx.indexes"
SCHEMES = ("http", "https")
"""Of clusters of Milvus."""


def is_address(said: str) -> bool:
    """Whether somebody named an index, and no folder of photos."""
    return has_keeper(said) or said.endswith(GALLERY_FILE)


def has_keeper(said: str) -> bool:
    """Whether it is kept elsewhere: by Milvus, or by what a plug-in brings."""
    return "://" in said or said.endswith(MILVUS_FILE)


def open_address(address: str, fingerprint: str | None = None) -> GalleryIndex:
    """The index at an address; with None made by whatever it was.

    Raises:
        UsageError: when it is no address.
        ArtifactError: when it is not there, not whole, or made with another fingerprint, or a server is away.
        MissingExtraError: when Milvus is asked for and not installed.
    """
    if has_keeper(address):
        return keeper_of(address).open(address, fingerprint)
    check_is_file(address)
    gallery = Gallery.open(expanded(address).absolute(), fingerprint)
    check_of_photos(gallery, address)
    return LocalIndex(gallery, columns=functools.partial(folder_columns, gallery))


def check_is_file(address: str) -> None:
    """Refuse what is neither Milvus nor a file of a gallery.

    Raises:
        ArtifactError: when it is so.
    """
    if not is_address(address):
        raise ArtifactError(
            f"'{address}' is no address of an index. It is a PATH{MILVUS_FILE} or http://HOST:PORT of "
            f"Milvus, or a PATH{GALLERY_FILE}. A folder of photos is searched with --in DIR."
        )


def check_of_photos(gallery: Gallery, where: str) -> None:
    """Refuse the gallery of a dataset, whose captions and columns are kept with the dataset.

    Raises:
        ArtifactError: when it is one.
    """
    if gallery.text_vectors is not None:
        raise ArtifactError(
            f"'{where}' is the gallery of '{gallery.source}', a dataset. Indexes of folders of photos alone "
            "are copied and searched by their address; search it with --dataset."
        )


def maker_of(address: str) -> tuple[Mapping[str, str] | None, str, str]:
    """What an index was made by, its fingerprint, and the folder that it is of.

    Raises:
        ArtifactError, UsageError, MissingExtraError: as `open_address`.
    """
    if has_keeper(address):
        index = keeper_of(address).open(address, None)
        index.close()
        return index.header.made_by, index.header.fingerprint, index.header.source
    check_is_file(address)
    header = read_header(TensorFile(expanded(address).absolute()))
    return header["made_by"], header["fingerprint"], header["source"]


def keeper_of(address: str) -> IndexKeeper:
    """Who keeps the index at an address: the plug-in of its scheme, else Milvus.

    Raises:
        PluginError: when the plug-in cannot be used.
        MissingExtraError: when it is Milvus, and that is not installed.
    """
    scheme, slashes, _ = address.partition("://")
    plugin = find_plugin(PLUGINS, scheme, SCHEMES) if slashes and scheme not in SCHEMES else None
    return milvus().KEEPER if plugin is None else plugin.load()


def milvus() -> ModuleType:
    """All that mmx does with Milvus, loaded where it is needed, since not everyone has installed it.

    Raises:
        MissingExtraError: when it is not installed.
    """
    # Its transport would write to the screen what is told as an error already.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from mmx.search import milvus_copy
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"an index kept by Milvus needs '{error.name}'. Install it: pip install 'mmx[milvus]'"
        ) from error
    return milvus_copy

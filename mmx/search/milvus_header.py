"""What an index kept by Milvus says of itself, in a collection beside that of its pictures, `.._about`.

It is changed before anything else is written and once more when all of it is there, so that half a copy never
looks whole.
"""

from pymilvus import DataType, MilvusClient

from mmx.core.errors import ArtifactError
from mmx.search.milvus_client import Connection
from mmx.store.gallery_rows import RowsHeader

ABOUT = "_about"
TEXT, LONGEST_TEXT = "text", 60_000


def read_header(connection: Connection) -> RowsHeader | None:
    """What is said of an index, whole or not; None where there is none.

    Raises:
        ArtifactError: when it cannot be read, or something else is there under its name.
    """
    name, where = connection.address.collection, str(connection.address)
    if not connection.ask("has_collection", name + ABOUT):
        if connection.ask("has_collection", name):
            other = f"{connection.address.uri}#NAME" if connection.address.file is None else "PATH.db"
            raise ArtifactError(f"'{name}' at '{where}' is no index of mmx. Name another place: {other}")
        return None
    connection.ask("load_collection", name + ABOUT)
    parts = {row["key"]: row[TEXT] for row in connection.rows(name + ABOUT, ("key", TEXT))}
    return RowsHeader.from_text("".join(parts[key] for key in sorted(parts)), where) if parts else None


def write_header(connection: Connection, header: RowsHeader) -> None:
    """Say what an index is; its longer texts lie in several rows."""
    name = connection.address.collection + ABOUT
    if not connection.ask("has_collection", name):
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.INT64, is_primary=True)
        # Milvus keeps nothing without a vector.
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
        schema.add_field(TEXT, DataType.VARCHAR, max_length=65_535)
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="IP")
        words = {"schema": schema, "index_params": index, "num_shards": 1, "consistency_level": "Strong"}
        connection.ask("create_collection", name, **words)
    text = header.to_text()
    parts = [text[start : start + LONGEST_TEXT] for start in range(0, len(text), LONGEST_TEXT)]
    rows = [{"key": key, "vector": [1.0, 0.0], TEXT: part} for key, part in enumerate(parts)]
    connection.ask("delete", name, filter=f"key >= {len(rows)}")
    connection.ask("upsert", name, rows)


def there(header: RowsHeader | None, where: str) -> RowsHeader:
    """The header, if there is an index.

    Raises:
        ArtifactError: when there is none.
    """
    if header is None:
        raise ArtifactError(f"there is no index at '{where}'. Make one: mmx index copy SRC {where}")
    return header


def check_whole(header: RowsHeader, where: str) -> None:
    """Refuse half a copy.

    Raises:
        ArtifactError: when somebody writes it, or broke off.
    """
    if header.writing:
        raise ArtifactError(
            f"'{where}' is being written, or its writing was broken off. Copy it there again, which goes on "
            f"where that ended: mmx index copy SRC {where}"
        )


def check_width(connection: Connection, header: RowsHeader) -> None:
    """That the pictures are there, with vectors as wide as is said of them.

    Raises:
        ArtifactError: when they are not.
    """
    name, where = connection.address.collection, str(connection.address)
    if not connection.ask("has_collection", name):
        raise damaged(where, "its pictures are gone")
    fields = connection.ask("describe_collection", name)["fields"]
    width = next((int(field["params"]["dim"]) for field in fields if field["name"] == "vector"), 0)
    if width != header.width:
        raise damaged(where, f"its vectors are {width} wide and ought to be {header.width}")


def damaged(where: str, how: str) -> ArtifactError:
    """What is said of an index that is not what was written."""
    return ArtifactError(
        f"'{where}' is damaged: {how}. Make it again: mmx index remove {where}, then mmx index copy SRC "
        f"{where}"
    )

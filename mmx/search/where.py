"""Which pictures a condition lets through: SQL over their columns, read by DuckDB, with the doors shut."""

import threading
from collections.abc import Sequence

import duckdb
import pyarrow
import torch
from torch import Tensor

from mmx.core.errors import UsageError

SECONDS = 20.0
SHUT = {
    "enable_external_access": "false",
    "allow_community_extensions": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "1GB",
}
"""A condition reads the columns and nothing else: no file, no address, no variable of the program."""
ROW = "_row"
EXAMPLES = {"split": "split = 'val'", "size": "size > 100000", "folder": "folder LIKE 'summer%'"}
"""Column -> a condition on it, for whoever named one that is not there."""


def rows_where(table: pyarrow.Table, condition: str) -> Tensor:
    """[N] bool: the rows of the table for which the condition holds; where it is null it does not.

    Raises:
        UsageError: when it is no condition over these columns, or takes too long.
    """
    columns = ", ".join(table.schema.names)
    rows = pyarrow.array(range(len(table)), pyarrow.int64())
    with duckdb.connect(":memory:", config=SHUT) as connection:
        connection.execute("SET lock_configuration = true")
        connection.register("pictures", table.append_column(ROW, rows))
        query = f"SELECT {ROW} FROM pictures WHERE (\n{condition}\n)"
        timer = threading.Timer(SECONDS, connection.interrupt)
        timer.start()
        try:
            if len(connection.extract_statements(query)) != 1:
                raise UsageError(f"--where '{condition}' is more than one condition. Join them with AND.")
            found = connection.execute(query).fetchnumpy()
        except duckdb.InterruptException as error:
            raise UsageError(f"--where '{condition}' takes more than {SECONDS:g} s. Ask for less.") from error
        except duckdb.Error as error:
            reason = str(error).split("\n\n")[0].splitlines()[0]
            raise UsageError(
                f"--where '{condition}' cannot be read: {reason}. There are the columns: {columns}. "
                f'Write for example: "{_example(table.schema.names)}"'
            ) from error
        finally:
            timer.cancel()
    return _mask(found, len(table), condition)


def _example(columns: Sequence[str]) -> str:
    """A condition on columns that there are."""
    told = [condition for name, condition in EXAMPLES.items() if name in columns]
    return " AND ".join(told[:2]) or f"{columns[0]} IS NOT NULL"


def in_microseconds(time: str, condition: str) -> int:
    """A date, or a date with a time, as a condition writes it -> microseconds since 1970, as it stands.

    Raises:
        UsageError: when it is neither.
    """
    try:
        with duckdb.connect(":memory:", config=SHUT) as connection:
            (found,) = connection.execute("SELECT epoch_us(CAST(? AS TIMESTAMP))", [time]).fetchone()
    except duckdb.Error:
        found = None
    if found is None:
        raise UsageError(
            f"--where '{condition}' cannot be read: '{time}' is no date. Write for example: "
            "\"date > '2024-12-31'\""
        )
    return found


def _mask(found: dict[str, Sequence[int]], count: int, condition: str) -> Tensor:
    rows = torch.as_tensor(found.get(ROW, [-1]))
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < count:
        raise UsageError(f"--where '{condition}' is no condition. Write for example: \"size > 100000\"")
    mask = torch.zeros(count, dtype=torch.bool)
    mask[rows] = True
    return mask

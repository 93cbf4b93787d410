"""mmx methods, datasets, runs and doctor: what there is, and what this machine can do."""

from datetime import datetime
from typing import TYPE_CHECKING

from mmx.cli.options import HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_table
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.listings import PluginRow, RunRow


def methods(json: JsonOption = False) -> None:
    """List the methods that can be trained."""
    from mmx.workflows import listings as workflow

    rows = workflow.list_methods()
    if json:
        return print_json({"schema": "mmx.methods/1", "methods": workflow.documents(rows)})
    cells = [
        (row.name, row.summary, ", ".join(row.tasks), ", ".join(row.presets), row.origin or "mmx")
        for row in rows
    ]
    print_table("methods", ("name", "what it is", "tasks", "presets", "from"), cells)
    return _warn_of_broken(workflow.list_plugins())


def datasets(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the datasets known by name, and what has been prepared."""
    from mmx.workflows import listings as workflow

    rows = workflow.list_datasets(Home.find(home))
    if json:
        return print_json({"schema": "mmx.datasets/1", "datasets": workflow.documents(rows)})
    cells = [
        (row.name, row.summary, "damaged" if row.damage else _counts(row.prepared), row.origin or "mmx")
        for row in rows
    ]
    print_table("datasets", ("name", "what it is", "prepared", "from"), cells)
    return _warn_of_broken(workflow.list_plugins())


def runs(home: HomeOption = None, json: JsonOption = False) -> None:
    """List what was trained, newest first."""
    from mmx.workflows import listings as workflow

    rows = workflow.list_trained(Home.find(home))
    if json:
        return print_json({"schema": "mmx.runs/1", "runs": workflow.documents(rows)})
    cells = [(row.path, row.method, row.dataset, _minute(row.created), _reached(row)) for row in rows]
    return print_table("runs", ("run", "method", "dataset", "created", "val"), cells, right=("val",))


def doctor(home: HomeOption = None, json: JsonOption = False) -> None:
    """Show what this machine can do."""
    from mmx.workflows import listings as workflow

    found = workflow.examine(Home.find(home))
    if json:
        return print_json({"schema": "mmx.doctor/1", **found})
    packages, extras, plugins = (found.pop(name) for name in ("packages", "extras", "plugins"))
    cells = [(name.replace("_", " "), value) for name, value in found.items()]
    cells += [(name, version or "-") for name, version in packages.items()]
    cells += [(f"extra {name}", _how_to_get(**row)) for name, row in extras.items()]
    cells += [
        (f"{row['group']}: {row['name']}", row["problem"] or f"from {row['origin']}") for row in plugins
    ]
    return print_table("doctor", ("what", "found"), cells)


def _warn_of_broken(plugins: "list[PluginRow]") -> None:
    """Say in a line each which plug-ins are not in the list."""
    for plugin in plugins:
        if plugin.problem:
            RichReporter().warn(plugin.problem)


def _how_to_get(missing: list[str], install: str) -> str:
    """Of an extra: that it is there, or what lacks and how it comes."""
    return f"not installed ({', '.join(missing)}): {install}" if missing else "installed"


def _minute(date: str) -> str:
    """`2026-11-21T22:57:01+00:00` as `2026-11-21 22:57`, in the time of this machine."""
    return f"{datetime.fromisoformat(date).astimezone():%Y-%m-%d %H:%M}"


def _reached(row: "RunRow") -> str:
    """What a run was selected by, on val."""
    name = row.primary_metric
    return f"{name} {row.val[name]:.1f}" if name in row.val else "-"


def _counts(prepared: dict[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in prepared.items() if count) or "-"

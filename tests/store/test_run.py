"""A run's folder: what it remembers, who may write it, and what is refused."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from mmx.core.errors import ArtifactError, ResourceError, UsageError
from mmx.store.run import RunFolder
from mmx.store.run_record import list_records, newest_record

FACTS = {
    "method": "stub",
    "dataset": "toy",
    "manifest_fingerprint": "m",
    "settings": {"lr": 0.1},
    "towers": {},
    "tasks": ["retrieval"],
    "seed": 3,
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", FACTS)


def test_a_run_comes_back_with_its_facts_versions_and_time(run: RunFolder) -> None:
    opened = RunFolder.open(run.path)

    assert opened.facts == run.facts and FACTS.items() <= opened.facts.items()
    assert {"mmx", "python", "torch"} <= opened.facts["versions"].keys()
    assert "commit" in opened.facts and opened.facts["created"].startswith("20")


def test_a_folder_that_holds_something_is_not_written_over(run: RunFolder) -> None:
    with pytest.raises(UsageError, match="is not empty"):
        RunFolder.create(run.path, FACTS)


def test_a_place_that_cannot_be_a_folder_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ResourceError, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "run", FACTS)


def test_where_there_is_no_run_the_answer_says_how_to_list_them(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="mmx runs"):
        RunFolder.open(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": "mmx.run", "version": 99}', "version '99'"),
        ('{"format": "other", "version": 1}', "format 'other'"),
        ('{"format": "mmx.run", "version": 1}', "lacks method, dataset"),
        ("[1]", "not a JSON object"),
        ('{"format": ', "cannot be read"),
    ],
)
def test_settings_of_another_version_or_broken_are_refused(text: str, words: str, run: RunFolder) -> None:
    (run.path / "settings.json").write_text(text)

    with pytest.raises(ArtifactError, match=words):
        RunFolder.open(run.path)


def test_the_best_weights_and_their_metrics_come_back(run: RunFolder) -> None:
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)

    run.write_weights(model.state_dict(), {"val": {"rsum": 1.5}})
    run.load_weights(other)

    assert torch.equal(model.weight, other.weight)
    assert run.metrics() == {"val": {"rsum": 1.5}}


def test_better_weights_leave_the_evaluations_that_were_recorded(run: RunFolder) -> None:
    run.write_weights(nn.Linear(2, 2).state_dict(), {"val": {"rsum": 1.5}})
    (run.path / "metrics.json").write_text(
        json.dumps({"val": {"rsum": 1.5}, "evaluations": [{"split": "test"}]})
    )

    run.write_weights(nn.Linear(2, 2).state_dict(), {"val": {"rsum": 2.5}})

    assert run.metrics() == {"val": {"rsum": 2.5}, "evaluations": [{"split": "test"}]}


def test_a_run_without_weights_says_how_to_go_on(run: RunFolder) -> None:
    assert run.metrics() == {}
    with pytest.raises(ArtifactError, match=r"has no weights yet\. Go on with: mmx train --resume"):
        run.load_weights(nn.Linear(2, 2))


def test_the_fingerprint_changes_with_the_weights_and_with_nothing_else(run: RunFolder) -> None:
    model = nn.Linear(2, 2)
    run.write_weights(model.state_dict(), {"val": {}})
    first = run.fingerprint
    run.write_weights(model.state_dict(), {"val": {"rsum": 1.0}})
    assert run.fingerprint == first

    run.write_weights(nn.Linear(2, 2).state_dict(), {"val": {}})
    assert run.fingerprint != first


def test_a_state_comes_back_and_the_one_before_it_is_gone(run: RunFolder) -> None:
    run.append_log({"step": 1})
    run.save_state({"step": 1}, {"weights": {"w": torch.ones(1)}})
    run.save_state({"step": 2}, {"weights": {"w": torch.ones(2)}})

    position, folder = run.load_state()

    assert position["step"] == 2 and position["log_bytes"] == len('{"step": 1}\n')
    assert [path.name for path in (run.path / "state").iterdir()] == [folder.name]


def test_the_newest_of_two_whole_states_counts(run: RunFolder) -> None:
    """As after a death between writing the new one and removing the old one."""
    for number in (9, 10):
        folder = run.path / "state" / f"{number:06d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps({"version": 1, "step": number, "log_bytes": 0}))

    assert run.load_state()[0]["step"] == 10


def test_a_state_of_another_version_is_refused(run: RunFolder) -> None:
    run.save_state({}, {})
    file = next((run.path / "state").rglob("state.json"))
    file.write_text('{"version": 99}')

    with pytest.raises(ArtifactError, match="version '99'"):
        run.load_state()


def test_a_log_is_cut_back_to_the_state_and_never_invented(run: RunFolder) -> None:
    run.append_log({"step": 1})
    length = run.log.stat().st_size
    run.append_log({"step": 2})

    run.cut_log(length)

    assert run.log.read_text() == '{"step": 1}\n'
    with pytest.raises(ArtifactError, match="but the state was saved after 99"):
        run.cut_log(99)


def test_a_lock_is_held_against_other_processes_and_ends_with_its_holder(run: RunFolder) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mmx.store.run import RunFolder\n"
        f"run = RunFolder.open(Path({str(run.path)!r}))\n"
        "with run.locked():\n"
        "    sys.stdout.write('held\\n'); sys.stdout.flush(); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    begun = time.monotonic()
    with pytest.raises(ArtifactError, match=f"another process \\({other.pid}\\)"), run.locked():
        pass
    assert time.monotonic() - begun < 1

    other.kill()
    other.communicate()
    with run.locked():
        pass


def test_taking_the_lock_clears_what_killed_writers_left(run: RunFolder) -> None:
    leftovers = [run.path / ".mmx-tmp-file", run.path / "state" / ".mmx-tmp-folder" / "inner"]
    for leftover in leftovers:
        leftover.mkdir(parents=True)

    with run.locked():
        assert not list(run.path.rglob(".mmx-tmp-*"))


def test_the_newest_run_is_the_last_one_created_that_has_weights_and_the_task(tmp_path: Path) -> None:
    made = {}
    for name, tasks in (("a", ["retrieval"]), ("b", ["retrieval"]), ("c", ["tagging"]), ("d", ["retrieval"])):
        made[name] = RunFolder.create(tmp_path / name, {**FACTS, "tasks": tasks})
        if name != "d":
            made[name].write_weights(nn.Linear(1, 1).state_dict(), {})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "settings.json").write_text("{")

    assert [run.name for run in list_records(tmp_path)] == ["d", "c", "b", "a"]
    assert newest_record(tmp_path, "retrieval").name == "b"
    assert newest_record(tmp_path, "tagging").name == "c"
    assert newest_record(tmp_path, "ranking") is None
    assert list_records(tmp_path / "absent") == []

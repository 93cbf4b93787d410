import itertools
import subprocess

import numpy
import pytest

from benchmarks import results, side_by_side
from benchmarks.samples import Sample, Samples, extra_memory
from benchmarks.side_by_side import (
    Contestant,
    Different,
    Peer,
    Row,
    TooBusy,
    check,
    goals,
    main,
    measure,
    not_compared,
)


def row(**more):
    return Row("a-row", "a row", lambda quick: None, **{"rounds": 3, **more})


def peer(name="peer", work=lambda: None, **more):
    return Peer(name, work, **{"compare": not_compared, "origin": "written here", **more})


def measured(entered, probes, rounds=3, ticks=None):
    first = {each.name: 1.0 for each in entered}
    probed, clock = iter(probes), iter(ticks or itertools.count())
    return measure(entered, row(rounds=rounds), first, 0.0, lambda: next(probed), lambda: float(next(clock)))


def test_a_sample_counts_from_three_quarters_of_the_best_probe_on():
    samples = Samples(4)
    for seconds, probe in ((1.0, 100.0), (2.0, 75.0), (40.0, 74.9), (3.0, 90.0)):
        samples.add(Sample(seconds, probe))
    assert samples.kept(100.0) == [1.0, 2.0, 3.0]
    assert samples.kept(50.0) == [1.0, 2.0, 40.0, 3.0]


def test_a_part_of_the_work_counts_times_its_share_in_median_and_quartiles():
    samples = Samples(3)
    for seconds in (1.0, 2.0, 3.0, 9.0, 100.0):
        samples.add(Sample(seconds, 10.0 if seconds < 100 else 1.0))
    found = samples.summary(10.0, share=10.0)
    assert (found["median_s"], found["quartiles_s"]) == (25.0, [17.5, 45.0])
    assert (found["samples"], found["dropped"]) == (4, 1)


def test_contestants_take_turns_and_a_dropped_sample_is_taken_again():
    order = []
    entered = [Contestant(name, lambda name=name: order.append(name)) for name in "ab"]
    # The second probe is slow, so the samples on both sides of it are dropped.
    found, best = measured(entered, [100.0, 10.0, *[100.0] * 20], rounds=2)
    assert order == ["a", "b"] * 3
    assert best == 100.0
    assert [len(found[name].kept(best)) for name in "ab"] == [2, 2]


def test_a_slow_contestant_takes_no_more_samples_than_it_is_given():
    order = []
    slow = peer("slow", lambda: order.append("slow"), rounds=1)
    measured([Contestant("mmx", lambda: order.append("mmx")), slow], itertools.repeat(100.0))
    assert order == ["mmx", "slow", "mmx", "mmx"]


def test_a_peer_that_is_slow_by_itself_takes_the_least_number_of_samples_and_mmx_all():
    order = []
    slow = peer("slow", lambda: order.append("slow"))
    entered = [Contestant("mmx", lambda: order.append("mmx")), slow]
    measure(entered, row(rounds=5), {"mmx": 9.0, "slow": 9.0}, 0.0, lambda: 1.0, lambda: 0.0)
    assert (order.count("mmx"), order.count("slow")) == (5, 3)


def test_a_row_on_a_machine_that_never_is_free_is_refused():
    probes = itertools.chain([100.0], itertools.repeat(10.0))
    with pytest.raises(TooBusy, match="a-row"):
        measured([Contestant("mmx", lambda: None)], probes)


def test_short_work_is_repeated_within_a_sample_unless_something_goes_before_it():
    calls = {"short": 0, "emptied": 0}

    def count(name):
        calls[name] += 1

    entered = [
        Contestant("short", lambda: count("short")),
        Contestant("emptied", lambda: count("emptied"), before=lambda: None),
    ]
    first = {"short": 0.02, "emptied": 0.02}
    measure(entered, row(rounds=1), first, 0.0, lambda: 1.0, lambda: 0.0)
    assert calls == {"short": 10, "emptied": 1}


def test_nothing_is_timed_when_results_differ():
    def compare(mine, theirs):
        if mine != theirs:
            raise Different(f"{mine} and {theirs}")
        return {"apart": 0.0}

    figures, seconds = check(Contestant("mmx", lambda: 2), [peer(work=lambda: 2, compare=compare)])
    assert figures == {"peer": {"apart": 0.0}}
    assert set(seconds) == {"mmx", "peer"}
    with pytest.raises(Different, match="2 and 3"):
        check(Contestant("mmx", lambda: 2), [peer(work=lambda: 3, compare=compare)])


def test_floors_of_speed_of_a_limit_and_of_memory_are_weighed():
    times = {
        "mmx": {"median_s": 2.0, "quartiles_s": [1.0, 4.0], "memory_mib": 10.0},
        "peer": {"median_s": 6.0, "quartiles_s": [4.0, 8.0], "memory_mib": 99.0},
        "limit": {"median_s": 1.25, "quartiles_s": [1.0, 2.0], "memory_mib": 0.0},
    }
    asked = [peer(faster=3.0, smaller=10.0), peer("limit", within=1.6), peer("limit", within=1.5)]
    fast, small, near, too_far = goals(asked, times, "mmx")
    assert (fast["ratio"], fast["spread"], fast["met"]) == (3.0, [1.0, 8.0], True)
    assert (small["ratio"], small["met"]) == (9.9, False)
    assert (near["met"], too_far["met"]) == (True, False)
    assert goals([peer()], times, "mmx")[0]["met"] is None


def test_memory_is_what_the_work_rises_by_at_its_highest():
    def work():
        numpy.ones(2**23)  # 64 MiB, given back
        return numpy.ones(2**20)

    assert 60 < extra_memory(work) < 80


def test_a_failing_row_is_told_kept_as_failed_and_does_not_stop_the_next(tmp_path, monkeypatch, capsys):
    kept, asked = [], []

    def apart(row, given, *more):
        asked.append(row.name)
        bad = row.name == "bad"
        return subprocess.CompletedProcess([], int(bad), "" if bad else "good: 1 ms\n", "Different: far\n")

    monkeypatch.setattr(side_by_side, "_apart", apart)
    monkeypatch.setattr(side_by_side, "keep", kept.append)
    monkeypatch.setattr("sys.argv", ["rows"])
    rows = [Row("bad", "a bad one", lambda quick: None), Row("good", "a good one", lambda quick: None)]
    with pytest.raises(SystemExit) as ended:
        main("benchmarks/rows.py", rows)
    assert (ended.value.code, asked) == (1, ["bad", "good"])
    assert kept == [{"script": "rows", "row": "bad", "title": "a bad one", "failed": "Different: far"}]
    said = capsys.readouterr()
    assert said.out == "good: 1 ms\n"
    assert "bad failed: Different: far" in said.err


def test_a_contestant_that_is_not_there_fails_only_its_row(monkeypatch):
    def make(quick):
        import no_such_peer

        return no_such_peer

    monkeypatch.setattr("sys.argv", ["rows", "--here", "--quick", "--threads", "1"])
    with pytest.raises(ModuleNotFoundError, match="no_such_peer"):
        main("benchmarks/rows.py", [Row("a-row", "a row", make)])


def test_the_records_of_two_runs_are_kept_newest_first_and_give_the_best_probe(tmp_path):
    about = {"machine": "here", "threads": 2}
    for probe in (300.0, 310.0, 290.0):
        results.keep({"row": "a-row", "probe_gflops": probe, **about}, tmp_path)
    assert [run["probe_gflops"] for run in results.runs_of("a-row", tmp_path)] == [290.0, 310.0]
    assert results.best_kept(about, tmp_path) == 310.0
    assert results.best_kept({**about, "threads": 1}, tmp_path) == 0.0

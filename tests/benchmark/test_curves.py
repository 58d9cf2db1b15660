"""Learning curves: every point is of the same pipelines and folds."""

from __future__ import annotations

import pandas as pd

from dare_sklearn.benchmark.curve import ALL, comparable, incomplete


def curve(trials, sizes=(20, 40), pipelines=("a", "b"), failed=()):
    """People with so many training trials; `failed` are (pipeline, person, size)."""
    rows = [
        {"pipeline": name, "subject": f"S{i}", "seed": 0, "tested": "", "fold": 0, "n_trials": size,
         "n_train": n if size == ALL else size}
        for name in pipelines for i, n in enumerate(trials) for size in (*sizes, ALL)
        if size < n and (name, f"S{i}", size) not in failed
    ]  # fmt: skip
    return pd.DataFrame(rows)


def points(table):
    """People of each pipeline and size."""
    return {key: len(part) for key, part in table.groupby(["pipeline", "n_trials"])}


def test_all_have_all():
    found, notes = comparable(curve([50, 60]))
    assert points(found) == {(p, n): 2 for p in "ab" for n in (20, 40, 55)} and not notes
    assert found.loc[found["n_trials"] == 55, "n_train"].tolist() == [50, 60, 50, 60]


def test_a_size_that_few_have():
    found, notes = comparable(curve([30, 50]))
    assert points(found) == {(p, n): 2 for p in "ab" for n in (20, 40)}  # 40: all, in the mean
    assert sorted(set(found["n_train"])) == [20, 30, 50]
    assert notes == ["The learning curve leaves out 40 trials, which too few folds have."]


def test_one_person_with_few_trials():
    found, notes = comparable(curve([15, 50, 50, 50, 50]))
    assert points(found) == {(p, n): 4 for p in "ab" for n in (20, 40, 50)}
    assert notes == [
        "The learning curve is of 4 of 5 folds: the others have fewer training trials."
    ]


def test_a_pipeline_that_failed_somewhere():
    for size in (20, ALL):
        found, notes = comparable(curve([50, 60], failed=[("a", "S1", size)]))
        assert points(found) == {("b", n): 2 for n in (20, 40, 55)} and not notes
    everywhere = [("a", "S1", size) for size in (20, 40, ALL)]
    assert set(comparable(curve([50, 60], failed=everywhere))[0]["pipeline"]) == {"b"}
    whole = [("a", f"S{i}", ALL) for i in range(2)]
    assert set(comparable(curve([50, 60], failed=whole))[0]["pipeline"]) == {"b"}


def test_all_failed_somewhere():
    table = curve([50, 60], failed=[("a", "S1", ALL), ("b", "S0", 20)])
    assert incomplete(table[table["n_trials"] == ALL]) == ["a"]
    found, notes = comparable(table)
    assert found.empty and not notes

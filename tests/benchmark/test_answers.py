"""The answer follows from the scores: better, worse, no difference shown, or none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dare_sklearn.benchmark import answer
from dare_sklearn.benchmark.answer import BETTER, OPEN, UNTESTED, WORSE, judge, paragraph

DARE, POWER, LDA = "DARE embeddings + LR", "band power + LR", "downsampled + LDA"


def scores(dare, power, lda):
    return {DARE: dare, POWER: power, LDA: lda}


def test_better_than_every_classical_pipeline(made_up, people):
    results = made_up(data=scores(people(0.9), people(0.8, 0.01), people(0.7, 0.01)))
    (verdict,) = judge(results)
    assert verdict.kind == BETTER and verdict.rival == POWER and verdict.against_chance is None
    assert verdict.difference == pytest.approx(0.1, abs=0.01)
    assert verdict.low < verdict.difference < verdict.high and verdict.low > 0
    assert verdict.times_slower == 2.0
    assert paragraph(results).startswith("Yes: DARE embeddings + LR is better than every")


def test_better_than_one_and_level_with_another_is_not_better(made_up, people):
    results = made_up(data=scores(people(0.9), people(0.9, 0.01), people(0.7, 0.01)))
    assert judge(results)[0].kind == OPEN
    assert "Not shown" in paragraph(results) and "not the same as none" in paragraph(results)


def test_worse_than_the_best(made_up, people):
    results = made_up(data=scores(people(0.6), people(0.8, 0.01), people(0.5, 0.01)))
    (verdict,) = judge(results)
    assert verdict.kind == WORSE and verdict.high < 0
    assert "No, not as it stands" in paragraph(
        results
    ) and "start with band power + LR" in paragraph(results)


def test_it_depends(made_up, people):
    good = scores(people(0.9), people(0.8, 0.01), people(0.7, 0.01))
    bad = scores(people(0.6), people(0.8, 0.01), people(0.5, 0.01))
    text = paragraph(made_up(one=good, two=bad))
    assert "It depends on the task" in text and "better than every classical pipeline on 1" in text
    assert "Over all data sets together" in text


def test_few_people_cannot_show_anything(made_up):
    results = made_up(data=scores([0.9, 0.95, 0.9], [0.5, 0.55, 0.51], [0.5, 0.52, 0.5]))
    (verdict,) = judge(results)
    assert verdict.kind == OPEN and verdict.smallest_p == 0.25 and verdict.powerless
    assert "cannot fall below p = 0.250" in verdict.sentence()
    assert "too few people" in paragraph(results)


def test_one_score_is_not_tested(made_up):
    results = made_up(data=scores([0.9], [0.5], [0.5]))
    (verdict,) = judge(results)
    assert verdict.kind == UNTESTED and np.isnan(verdict.p)
    assert "single" in verdict.sentence() and "too few scores" in paragraph(results)


def test_chance_is_told(made_up, people):
    results = made_up(data=scores(people(0.5), people(0.5, 0.01), people(0.5, 0.02)))
    assert judge(results)[0].against_chance == "at"
    assert "not shown to differ from chance" in paragraph(results)
    results = made_up(data=scores(people(0.3), people(0.3, 0.01), people(0.3, 0.02)))
    assert judge(results)[0].against_chance == "below"
    assert "On data its own score lies below chance" in paragraph(results)
    results.scores["chance_accuracy"] = np.nan
    assert judge(results)[0].against_chance is None


def test_simulated_signals_say_nothing_of_recordings(results):
    text = paragraph(results)
    assert text.startswith("These signals are simulated") and "says nothing about your data" in text


def test_a_rehearsal_says_so(results):
    results.about["rehearsal"] = True
    try:
        assert "its numbers say nothing" in paragraph(results)
    finally:
        results.about["rehearsal"] = False


def test_no_pipeline_of_dare(made_up, people):
    assert "cannot answer" in paragraph(made_up(data={POWER: people(0.8), LDA: people(0.7)}))


def test_few_labels(made_up, people):
    results = made_up(data=scores(people(0.6), people(0.8, 0.01), people(0.5, 0.01)))
    few = made_up(data=scores(people(0.7), people(0.6, 0.01), people(0.5, 0.01))).scores
    results.curve = pd.concat([few.assign(n_trials=16), results.scores.assign(n_trials=90)])
    assert "With only 16 labelled trials the picture differs" in paragraph(results)


def test_differences_are_corrected_for_the_number_of_rivals(made_up, people):
    """Six people of ten a little better, none worse: p = 0.031 for one rival, 0.062 for two."""
    base = people(0.7)
    power = base + 0.02 * (np.arange(10) < 6)
    lda = base + 0.03 * np.tile([1, -1], 5)
    (verdict,) = judge(made_up(data={DARE: base, POWER: power, LDA: lda}))
    assert verdict.rival == POWER and verdict.p == pytest.approx(2 / 64)
    assert verdict.p < answer.ALPHA and verdict.kind == OPEN
    (alone,) = judge(made_up(data={DARE: base, POWER: power}))
    assert alone.kind == WORSE


def test_ranks_that_contradict_the_means_show_nothing(made_up):
    """23 people a little better, two far worse: the ranks say better, the mean says worse."""
    power = np.full(25, 0.7)
    dare = power + np.r_[np.linspace(0.001, 0.02, 23), -0.4, -0.4]
    (verdict,) = judge(made_up(data={DARE: dare, POWER: power}))
    assert verdict.difference < 0 and verdict.p < answer.ALPHA and verdict.kind == OPEN

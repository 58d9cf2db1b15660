"""Should I use this on my data? The answer, from the statistics alone.

One pipeline of DARE, the candidate, is named by the suite before anything is scored. On each data
set it meets every classical pipeline. It is **better** if it beats all of them (each paired test at
0.05: an intersection-union test, which needs no correction), and **worse** if one of them beats it
(Holm's correction over them). Everything else is **no difference shown**. The interval is that of
the difference to the classical pipeline with the highest mean, which was chosen with the same
scores: that favours the classical side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .run import Results

ALPHA = 0.05
BETTER, WORSE, OPEN, UNTESTED = "better", "worse", "no difference shown", "not tested"
BEST = "best classical pipeline"
AT, BELOW = "at", "below"
_CHANCE = {
    AT: "is not shown to differ from chance (its interval includes it)",
    BELOW: "lies below chance: look for labels or folds that are mixed up",
}


@dataclass(frozen=True)
class Verdict:
    """The candidate on one data set.

    ``difference`` is candidate minus rival, ``low`` and ``high`` its 95 % interval, ``p`` the
    two-sided p-value of the pair, ``n`` the number of subjects or folds (`unit`), ``smallest_p``
    the smallest p that the test can give with so many, ``against_chance`` "at" or "below" where the
    candidate's own score does not lie above chance.
    """

    dataset: str
    metric: str
    candidate: str
    rival: str
    kind: str
    mean: float
    rival_mean: float
    difference: float
    low: float
    high: float
    p: float
    n: int
    unit: str
    smallest_p: float
    against_chance: str | None
    times_slower: float

    def finding(self) -> str:
        """The finding in a few words."""
        from ..viz._axes import p_text

        if self.kind == UNTESTED:
            return f"{signed(self.difference)}, not tested"
        return f"{signed(self.difference)} [{self.bounds()}], {p_text(self.p)}, {self.kind}"

    def bounds(self) -> str:
        """The 95 % interval of the difference."""
        if self.high - self.low > 2:  # of scores between 0 and 1, or -1 and 1
            return "an interval wider than the scale"
        return f"{signed(self.low)} to {signed(self.high)}"

    def sentence(self) -> str:
        """The finding in one or two sentences."""
        from ..viz._axes import p_text, spelled

        start = (
            f"{self.candidate} scores {self.mean:.3f} ({spelled(self.metric)}), and "
            f"{self.rival}, the best classical pipeline, {self.rival_mean:.3f}"
        )
        if self.kind == UNTESTED:
            return f"{start}. There is a single {self.unit} of scores: no test, and no interval."
        text = (
            f"{start}: a difference of {signed(self.difference)} [95 %: {self.bounds()}] over "
            f"{self.n} {self.unit}s, {p_text(self.p)}: {self.kind}."
        )
        if self.powerless:
            text += (
                f" With {self.n} {self.unit}s this test cannot fall below p = "
                f"{self.smallest_p:.3f}, whatever the scores are: more {self.unit}s are needed."
            )
        if self.against_chance is not None:
            text += f" The candidate's own score {_CHANCE[self.against_chance]}."
        return text

    @property
    def powerless(self) -> bool:
        """Whether no scores at all could have shown a difference."""
        return self.kind == OPEN and self.smallest_p > ALPHA


def judge(results: Results, candidate: str | None = None) -> list[Verdict]:
    """The candidate against classical pipelines on every data set that has both."""
    candidate = candidate or results.suite.candidate
    roles = results.roles()
    verdicts = []
    for dataset, table in results.scores.groupby("dataset", sort=False):
        there = list(dict.fromkeys(table["pipeline"]))
        rivals = [name for name in there if roles[name] == "classical" and name != candidate]
        if candidate in there and rivals:
            metric = results.datasets[dataset]["metrics"][0]
            chosen = table[table["pipeline"].isin([candidate, *rivals])]
            verdicts.append(_judge(dataset, chosen, metric, candidate, rivals))
    return verdicts


def judge_few(results: Results) -> list[tuple[int, Verdict]]:
    """The same at the smallest training size of each data set that was scored there."""
    if results.curve.empty:
        return []
    roles, candidate, found = results.roles(), results.suite.candidate, []
    for dataset, table in results.curve.groupby("dataset", sort=False):
        size = int(table["n_trials"].min())
        if size == table["n_trials"].max():
            continue
        table = table[table["n_trials"] == size]
        there = list(dict.fromkeys(table["pipeline"]))
        rivals = [name for name in there if roles[name] == "classical" and name != candidate]
        if candidate in there and rivals:
            metric = results.datasets[dataset]["metrics"][0]
            chosen = table[table["pipeline"].isin([candidate, *rivals])]
            found.append((size, _judge(dataset, chosen, metric, candidate, rivals)))
    return found


def paragraph(results: Results) -> str:
    """The answer, in one paragraph of plain words."""
    verdicts = judge(results)
    if not verdicts:
        return (
            "This run cannot answer: it holds no pipeline of DARE beside a classical one on the "
            "same data."
        )
    kinds = {kind: [v for v in verdicts if v.kind == kind] for kind in (BETTER, WORSE, OPEN)}
    parts = [_headline(results, verdicts, kinds)]
    shown = "; ".join(f"{v.dataset}: {v.finding()}" for v in verdicts[:8])
    rest = f"; {len(verdicts) - 8} more in the table below" if len(verdicts) > 8 else ""
    parts.append(f"Difference to the best classical pipeline [95 % interval]: {shown}{rest}.")
    if powerless := [v for v in verdicts if v.powerless]:
        parts.append(
            f"On {_join([v.dataset for v in powerless])} there are too few people or folds for any "
            "difference to be shown."
        )
    for kind, told in _CHANCE.items():
        if names := [v.dataset for v in verdicts if v.against_chance == kind]:
            parts.append(f"On {_join(names)} its own score {told}.")
    combined = combine(results, verdicts)
    if combined is not None:
        from ..viz._axes import p_text

        parts.append(f"Over all data sets together (Stouffer's method): {p_text(combined)}.")
    for size, verdict in judge_few(results):
        if verdict.kind == BETTER:
            parts.append(
                f"With only {size} labelled trials the picture differs: on {verdict.dataset}, "
                f"{verdict.mean:.3f} against {verdict.rival_mean:.3f} of {verdict.rival}, better."
            )
    parts += _others(results)
    slower = float(np.median([v.times_slower for v in verdicts]))
    if np.isfinite(slower):
        parts.append(
            f"To fit and answer, {verdicts[0].candidate} takes {_times(slower)} as long as the "
            "best classical pipeline (median of data sets)."
        )
    return " ".join(parts)


def combine(results: Results, verdicts: list[Verdict]) -> float | None:
    """Two-sided p of the candidate against the best classical pipeline over all data sets."""
    pairs = best_pairs(results, verdicts)
    if pairs is None:
        return None
    from ..evaluation import combine_datasets

    try:
        return float(combine_datasets(pairs)["p"].iloc[0])
    except ImportError:
        return None


def best_pairs(results: Results, verdicts: list[Verdict]) -> pd.DataFrame | None:
    """Tests of the candidate against the best classical pipeline of each data set.

    None for fewer than two data sets that can be tested, or data sets of different metrics.
    """
    from ..evaluation import pairwise

    tested = [v for v in verdicts if v.kind != UNTESTED]
    if len(tested) < 2:
        return None
    pairs = []
    for verdict in tested:
        table = results.scores[
            (results.scores["dataset"] == verdict.dataset)
            & results.scores["pipeline"].isin([verdict.candidate, verdict.rival])
        ]
        found = pairwise(_ordered(table, [verdict.candidate, verdict.rival]), verdict.metric)
        # effects have no unit: those of several metrics can be combined
        pairs.append(found.assign(metric="score", pipeline_b=BEST))
    return pd.concat(pairs, ignore_index=True)


def _judge(
    dataset: str, table: pd.DataFrame, metric: str, candidate: str, rivals: list[str]
) -> Verdict:
    from ..evaluation import pairwise, summarize
    from ..evaluation.statistics import EXACT_UP_TO, TIE, holm
    from ..viz._tables import fold_ratio, mean_interval, unit_scores

    wide, kind_of_unit = unit_scores(table, metric)
    means = wide.mean()
    rival = max(rivals, key=lambda name: means[name])
    unit = kind_of_unit.removesuffix("s")
    n = len(wide)
    seconds = table.groupby("pipeline")[["fit_seconds", "predict_seconds"]].median().sum(axis=1)
    common = {
        "dataset": str(dataset),
        "metric": metric,
        "candidate": candidate,
        "rival": rival,
        "mean": float(means[candidate]),
        "rival_mean": float(means[rival]),
        "difference": float(means[candidate] - means[rival]),
        "n": n,
        "unit": unit,
        "times_slower": float(seconds[candidate] / seconds[rival]) if seconds[rival] else np.nan,
    }
    if n < 2:
        nothing = dict.fromkeys(("low", "high", "p", "smallest_p"), np.nan)
        return Verdict(kind=UNTESTED, against_chance=None, **nothing, **common)

    pairs = pairwise(_ordered(table, [candidate, *rivals]), metric)
    pairs = pairs[pairs["pipeline_a"] == candidate].set_index("pipeline_b")
    corrected = dict(zip(pairs.index, holm(pairs["p"]), strict=True))
    # ranks and means can point in opposite directions: then nothing was shown
    lower = (pairs["difference"] < 0) & (pairs["p_less"] < pairs["p_greater"])
    higher = (pairs["difference"] > 0) & (pairs["p_greater"] < pairs["p_less"])
    beaten_by = [name for name in rivals if lower[name] and corrected[name] < ALPHA]
    if beaten_by:
        kind = WORSE
    elif (higher & (pairs["p"] < ALPHA)).all():
        kind = BETTER
    else:
        kind = OPEN
    ratio = fold_ratio(table, kind_of_unit)
    mean, half = mean_interval(wide[candidate] - wide[rival], ratio)
    summary = summarize(table, metric).set_index("pipeline").loc[candidate]
    against = None  # above it, or unknown
    if summary["low"] <= summary["chance"] + TIE:
        against = AT if summary["chance"] <= summary["high"] + TIE else BELOW
    exact = pairs["test"].iloc[0] == "permutation" and n <= EXACT_UP_TO
    return Verdict(
        kind=kind,
        low=mean - half,
        high=mean + half,
        p=float(pairs.loc[rival, "p"]),
        smallest_p=2.0 * 0.5**n if exact else 0.0,
        against_chance=against,
        **common,
    )


def _others(results: Results) -> list[str]:
    """A sentence for each other pipeline of DARE."""
    roles, sentences = results.roles(), []
    for name in dict.fromkeys(results.scores["pipeline"]):
        if roles[name] != "dare" or name == results.suite.candidate:
            continue
        kinds = [v.kind for v in judge(results, name)]
        counts = [
            f"{kind} on {kinds.count(kind)}" for kind in (BETTER, WORSE, OPEN) if kind in kinds
        ]
        if counts:
            sentences.append(f"Another way to use the encoder, {name}: {', '.join(counts)}.")
    return sentences


def _headline(results: Results, verdicts: list[Verdict], kinds: dict) -> str:
    name, total = verdicts[0].candidate, len(verdicts)
    better, worse = len(kinds[BETTER]), len(kinds[WORSE])
    simulated = all(results.datasets[v.dataset]["kind"] == "simulated" for v in verdicts)
    if results.about.get("rehearsal"):
        return (
            "This was a rehearsal with fake signals: its numbers say nothing. What follows shows "
            "only how an answer will read."
        )
    start = (
        "These signals are simulated, and encoders of this library are pretrained on simulated "
        "signals too: this shows that the tool works, and says nothing about your data (run the "
        "suite recordings on them). Here, "
        if simulated
        else ""
    )
    if better and not worse and better == total:
        end = f"yes: {name} is better than every classical pipeline on all {total} data sets."
    elif better and not worse:
        end = (
            f"perhaps: {name} is better than every classical pipeline on {better} of {total} data "
            "sets, and no difference was shown on the others."
        )
    elif better and worse:
        end = (
            f"it depends on the task: {name} is better than every classical pipeline on {better} "
            f"and worse than the best one on {worse} of {total} data sets."
        )
    elif worse:
        names = list(dict.fromkeys(v.rival for v in kinds[WORSE]))
        end = (
            f"no, not as it stands: {name} is worse than the best classical pipeline on {worse} of "
            f"{total} data sets, and better than all on none; start with {_join(names, 'or')}."
        )
    elif any(v.kind == OPEN for v in verdicts):
        end = (
            f"not shown: on {total} data set{'s' * (total > 1)}, no difference between {name} and "
            "the best classical pipeline was shown, which is not the same as none being there (see "
            "the intervals). Choose by cost and convenience, or collect more data."
        )
    else:
        end = "this run has too few scores to test."
    return start + (end if simulated else end[0].upper() + end[1:])


def _ordered(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Rows of these pipelines, in this order: tests take pairs in order of appearance."""
    return pd.concat([table[table["pipeline"] == name] for name in names], ignore_index=True)


def signed(value: float) -> str:
    """A number with its sign."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _join(names: list[str], last: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times"

"""The verdict, and the page that shows it."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dare_sklearn.evaluation import pairwise, report
from dare_sklearn.evaluation.report import BETTER, OPEN, UNTESTED, WORSE, judge, sentence
from dare_sklearn.viz import plot_significance

SPREAD = 0.02 * np.array([-2, -1.5, -1, -0.5, -0.2, 0.2, 0.5, 1, 1.5, 2])


def people(mean, wobble=0.0):
    """Scores of ten people around a mean."""
    return mean + SPREAD + wobble * np.cos(np.arange(10))


def made_up(**datasets):
    """Scores of people by pipeline, per data set."""
    tables = [
        pd.DataFrame(
            {
                "dataset": dataset, "pipeline": pipeline, "fold": range(len(values)),
                "subject": [f"S{i}" for i in range(len(values))], "n_subjects": 1, "n_train": 90,
                "n_test": 10, "accuracy": values, "chance_accuracy": 0.5, "p_accuracy": 0.2,
                "fit_seconds": 2.0, "predict_seconds": 0.1, "peak_memory_mb": 1.0,
                "best_params": None,
            }
        )
        for dataset, scores in datasets.items()
        for pipeline, values in scores.items()
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


FAR = {"DARE": people(0.8), "CSP": people(0.7), "power": people(0.6)}
NEAR = {"DARE": people(0.7), "CSP": people(0.7, 0.05), "power": people(0.6)}
LOW = {"DARE": people(0.6), "CSP": people(0.7), "power": people(0.5)}


@pytest.mark.parametrize(
    ("scores", "kind", "words"),
    [
        (
            FAR,
            BETTER,
            "DARE is better than every rival on eeg (accuracy 0.800, the best rival CSP 0.700).",
        ),
        (LOW, WORSE, "DARE is worse than at least one rival on eeg (accuracy 0.600"),
        (
            NEAR,
            OPEN,
            "DARE is neither shown to be better nor worse than its rivals on eeg (accuracy 0.700",
        ),
        (
            {k: v[:1] for k, v in FAR.items()},
            UNTESTED,
            "DARE is not tested (there is a single score)",
        ),
        ({k: v[:4] for k, v in FAR.items()}, OPEN, "; 4 subjects are too few to show it"),
    ],
)
def test_verdicts_and_their_sentence(scores, kind, words):
    found = judge(made_up(eeg=scores))
    row = found.iloc[0]
    assert (row["candidate"], row["verdict"], row["rival"]) == ("DARE", kind, "CSP")
    assert row["difference"] == pytest.approx(row["mean"] - row["rival_mean"])
    if kind != UNTESTED:
        assert -1 <= row["low"] <= row["difference"] <= row["high"] <= 1
    assert words in sentence(found)


def test_a_verdict_and_its_interval_agree():
    row = judge(made_up(eeg={"DARE": people(0.72, 0.02), "CSP": people(0.68)})).iloc[0]
    assert row["verdict"] == BETTER and 0 < row["low"] < row["difference"] < row["high"]


def test_sentences_on_several_data_sets():
    assert sentence(judge(made_up(a=FAR, b=FAR))) == (
        "DARE is better than every rival on 2 of 2 data sets (a, b)."
    )
    assert sentence(judge(made_up(a=FAR, b=LOW, c=NEAR))) == (
        "DARE is better than every rival on 1 of 3 data sets (a); worse than at least one rival on 1 "
        "of 3 data sets (b); neither shown to be better nor worse than its rivals on 1 of 3 data "
        "sets (c)."
    )
    alone = judge(made_up(a={"DARE": people(0.8)}))
    assert alone.empty and "no other pipeline" in sentence(alone)


def test_who_is_judged_against_whom():
    found = judge(made_up(eeg=LOW), "DARE", ["power"]).iloc[0]
    assert (found["verdict"], found["rival"]) == (BETTER, "power")
    assert judge(made_up(eeg=FAR), "power").iloc[0]["verdict"] == WORSE
    with pytest.raises(ValueError, match="candidate must be one of .*DARE, CSP, power, got 'LDA'"):
        judge(made_up(eeg=FAR), "LDA")


class Page(HTMLParser):
    """Tags, their order, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "tags are not nested"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    table = made_up(**{"first <b>": FAR, "=second": {**NEAR, "<i>new</i>": people(0.55)}})
    other = made_up(third=FAR).rename(columns=lambda c: c.replace("accuracy", "roc_auc_ovr"))
    curve = pd.concat(made_up(third=FAR).assign(n_labels=n) for n in (8, 32))
    curve = curve.rename(columns=lambda c: c.replace("accuracy", "roc_auc_ovr"))
    lost = curve.drop(columns="n_labels").assign(fold=curve.groupby("pipeline").cumcount())
    lost["share"] = np.where(lost["fold"] < 10, 0.0, 0.5)
    folder = tmp_path_factory.mktemp("report")
    path = report(
        pd.concat([table, other]), folder, title="A <title>", learning_curve=curve,
        lost_electrodes=lost, context={"command": "run <me>", "versions": {"mne": "1.13"}},
    )  # fmt: skip
    return path, Page(path.read_text(encoding="utf-8"))


def test_the_page_is_one_file_that_needs_no_other(page):
    path, parsed = page
    assert not parsed.open and path.name == "report.html"
    assert not any(tag in ("script", "link", "iframe") for tag, _ in parsed.tags)
    sources = [attrs["src"] for tag, attrs in parsed.tags if tag == "img"]
    assert len(sources) >= 3 * 4 and all(
        s.startswith("data:image/svg+xml;base64,") for s in sources
    )
    assert all(attrs["alt"] for tag, attrs in parsed.tags if tag == "img")


def test_the_answer_comes_first(page):
    words = [w.strip() for w in page[1].words if w.strip()]
    assert words[:2] == ["A <title>", "A <title>"]  # of the window, and of the page
    assert words[2].startswith("DARE is better than every rival on 2 of 3 data sets")


def test_names_are_text_and_metrics_are_words(page):
    text = page[0].read_text(encoding="utf-8")
    assert "<i>new" not in text and "&lt;i&gt;new" in text and "run &lt;me&gt;" in text
    words = " ".join(page[1].words)
    assert "area under the ROC curve" in words and "roc_auc" not in words and "roc auc" not in words


def test_tables_beside_the_page(page):
    folder = page[0].parent
    summary = pd.read_csv(folder / "summary.csv")
    assert set(summary["metric"]) == {"accuracy", "roc_auc_ovr"}
    assert (summary["high"] <= 1).all() and (summary["low"] >= 0).all()
    assert len(pd.read_csv(folder / "verdicts.csv")) == 3
    names = {"scores", "summary", "pairs", "verdicts", "learning_curve", "lost_electrodes"}
    assert {path.stem for path in folder.glob("*.csv")} == names


def test_calibration_and_further_figures(tmp_path):
    table = made_up(eeg=FAR)
    assert "Brier" not in report_text(table, tmp_path).split("<h2>")[1]
    figure = Figure()
    figure.subplots().plot([0, 1])
    text = report_text(
        table.assign(brier=0.123, calibration_error=0.0456),
        tmp_path,
        figures=[("Own", figure, "a line")],
    )
    assert "Brier score</th>" in text and ">0.123</td>" in text and ">0.046</td>" in text
    assert "<h3>Own</h3>" in text and "<figcaption>A line</figcaption>" in text


def report_text(*args, **options):
    return report(*args, **options).read_text(encoding="utf-8")


def test_equal_tables_give_equal_pages(page, tmp_path):
    table = made_up(eeg=FAR)
    first, second = (report(table, tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_one_pipeline_and_one_fold(tmp_path):
    text = report(made_up(eeg={"DARE": [0.9]}), tmp_path).read_text(encoding="utf-8")
    assert "There is no other pipeline to compare with." in text
    assert not (tmp_path / "pairs.csv").exists()
    assert not re.search(r"\bnan\b", text)


def test_a_table_without_costs_and_chance(tmp_path):
    table = made_up(eeg=FAR)
    kept = [
        c for c in table if not c.startswith(("chance", "p_", "fit", "predict", "peak", "best"))
    ]
    text = report(table[kept], tmp_path).read_text(encoding="utf-8")
    assert "is better than every rival" in text and "seconds per fold" not in text


def test_what_is_not_a_table(tmp_path):
    with pytest.raises(TypeError, match="table of report must be a table of compare"):
        report([], tmp_path)
    with pytest.raises(ValueError, match="has no rows: in compare, every cell failed"):
        report(made_up(eeg=FAR)[:0], tmp_path)


def test_errors_are_written_in_their_own_size(tmp_path):
    small = {name: -1e-4 * np.linspace(low, low + 0.5, 10) for name, low in [("a", 4), ("b", 7)]}
    table = made_up(eeg=small).rename(columns={"accuracy": "neg_mean_squared_error"})
    table = table.drop(columns=["chance_accuracy", "p_accuracy"])
    page = report(table, tmp_path).read_text(encoding="utf-8")
    assert "-0.000425, the best rival b -0.000725" in page
    assert "+0.0003 [" in page and "0.000]" not in page and "-0.000 " not in page
    figure = plot_significance(pairwise(table, "neg_mean_squared_error"))
    texts = [text.get_text().split()[0] for text in figure.axes[0].texts]
    assert sorted(texts) == ["+0.0003", "\N{MINUS SIGN}0.0003"]


def test_subjects_of_one_fold_are_told_apart_from_folds(tmp_path):
    table = made_up(eeg=FAR)
    table["fold"] //= 5
    page = report(table, tmp_path).read_text(encoding="utf-8")
    assert "2 folds, each with 90 training and 50 test epochs" in page
    assert "dots are subjects in a fold" in page
    assert "dots are folds" in report(made_up(eeg=FAR), tmp_path).read_text(encoding="utf-8")


def test_rivals_that_are_not_there():
    with pytest.raises(ValueError, match=r"rivals must be pipelines \(DARE, CSP, power\), got"):
        judge(made_up(eeg=FAR), "DARE", ["CPS"])


def test_no_table_of_an_earlier_report_stays(tmp_path):
    curve = made_up(eeg=FAR).assign(n_labels=8)
    report(made_up(eeg=FAR), tmp_path, learning_curve=curve)
    assert (tmp_path / "learning_curve.csv").exists()
    report(made_up(eeg=FAR), tmp_path)
    assert not (tmp_path / "learning_curve.csv").exists()
    assert (tmp_path / "scores.csv").exists()

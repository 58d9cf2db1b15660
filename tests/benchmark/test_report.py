"""The report is one file that asks nothing of the network, and its tables hold what it shows."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from dare_sklearn.benchmark import write_report
from dare_sklearn.benchmark.text import cell, interval, short

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and gathers what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.images, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(attrs)
        assert tag not in {"script", "iframe", "object", "embed", "link"}, tag
        self.links += [attrs[name] for name in ("src", "href") if name in attrs and tag != "img"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    return write_report(results, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def page(folder):
    page = Page()
    page.feed((folder / "report.html").read_text("utf-8"))
    assert not page.open
    return page


def test_it_stands_alone(folder, page):
    html = (folder / "report.html").read_text("utf-8")
    outside = re.sub(r'src="data:[^"]*"', "", html)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", outside)
    assert "@import" not in html and "url(" not in html
    for image in page.images:
        assert image["src"].startswith("data:image/svg+xml;base64,") and len(image["alt"]) > 20
    assert len(page.images) >= 8


def test_it_says_what_a_reader_needs(page):
    text = " ".join(page.text)
    for wanted in (
        "Should I use this on my data?", "How to read this", "tiny oddball", "tiny hands", "SHA-256",
        "All data sets together", "a <command>", "Accuracy against training size", "A tiny <suite>",
        "one person left out at a time", "Who differs from whom", "Pair by pair",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_links_are_files_beside_it(results, page, tmp_path):
    from dare_sklearn.benchmark.run import write_tables

    write_tables(results, tmp_path)
    write_report(results, tmp_path)
    assert page.links and all((tmp_path / link).is_file() for link in page.links)
    assert not list(tmp_path.glob("*.part"))


def test_tables_hold_what_is_shown(results, folder, page):
    summary = pd.read_csv(folder / "summary.csv")
    assert len(summary) == 3 * 2 + 3  # two metrics of one data set, one of the other
    row = summary.iloc[0]
    scores = results.scores
    mine = scores[(scores["dataset"] == row["dataset"]) & (scores["pipeline"] == row["pipeline"])]
    assert row["mean"] == pytest.approx(mine.groupby("subject")[row["metric"]].mean().mean())
    assert any(f"{row['mean']:.3f} [" in text for text in page.text)
    pairs = pd.read_csv(folder / "pairs.csv")
    assert len(pairs) == 3 * 3 and pairs["p_holm"].between(0, 1).all()
    answers = pd.read_csv(folder / "answers.csv")
    assert answers["dataset"].tolist() == ["tiny oddball", "tiny hands"]


def test_what_was_run(results, tmp_path):
    from dare_sklearn.benchmark.run import write_tables

    write_tables(results, tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["command"] == "a <command>" and run["encoder"]["name"] == "untrained"
    assert run["versions"]["dare-sklearn"] != "none" and run["started"] <= run["finished"]
    assert {len(known["hash"]) for known in run["datasets"].values()} == {32}


def test_failures_come_first(results, tmp_path):
    from dataclasses import replace

    failed = replace(results, failures=["MDM fell over <here>"])
    html = write_report(failed, tmp_path).read_text("utf-8")
    assert html.index("MDM fell over &lt;here&gt;") < html.index("Should I use this")


def test_one_fold_gives_a_report(made_up, tmp_path):
    single = {"DARE embeddings + LR": [0.8], "band power + LR": [0.7], "downsampled + LDA": [0.6]}
    html = write_report(made_up(data=single), tmp_path).read_text("utf-8")
    assert "not tested" in html


def test_energy_is_shown_where_it_was_measured(results, tmp_path):
    from dataclasses import replace

    rows = [("tiny oddball", "band power + LR", 0.002), ("tiny hands", "band power + LR", 0.001)]
    energy = pd.DataFrame(rows, columns=["dataset", "pipeline", "kwh"])
    html = write_report(replace(results, energy=energy), tmp_path).read_text("utf-8")
    assert "energy (Wh)" in html and "<td>2</td>" in html


def test_numbers_as_text():
    assert short(0.0321) == "0.0321" and short(12345.6) == "12,346" and short(2e-7) == "2e-07"
    assert cell(float("nan")) == "–" and cell("<b>") == "&lt;b&gt;"
    assert interval(0.5, float("nan"), float("nan")) == "0.500"

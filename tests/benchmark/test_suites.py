"""Suites are read strictly: what is wrong is named, and nothing in them can run."""

from __future__ import annotations

import pytest
import yaml

from dare_sklearn.benchmark import SuiteError, read_map, read_suite, suite_names
from dare_sklearn.benchmark.pipelines import CLASSICAL, DEEP, KNOWN, build, role
from dare_sklearn.benchmark.suite import PipelineSpec, choose_pipelines
from dare_sklearn.evaluation import deep_pipelines
from dare_sklearn.transformers.classical import classical_pipelines

from .conftest import TINY


def changed(**changes):
    return {**TINY["datasets"][0], **changes}


def test_shipped_suites():
    assert suite_names() == ["published", "recordings", "simulated"]
    for name in suite_names():
        suite = read_suite(name)
        assert suite.name == name and len(suite.pipelines) >= 6
        for dataset in suite.datasets or ():
            assert {"here", "paper", "independent"} <= set(dataset.protocol), dataset.name
    assert read_suite("recordings").datasets is None


def test_published_names_what_the_issue_asks():
    names = {dataset.name for dataset in read_suite("published").datasets}
    wanted = "BNCI2014_001 BNCI2014_004 PhysionetMI Lee2019_MI Nakanishi2015 Wang2016 BI2014a"
    assert {*wanted.split(), "TUH Abnormal", "TUH Events", "Sleep-EDF"} <= names


def test_every_pipeline_can_be_built():
    assert tuple(classical_pipelines()) == CLASSICAL and tuple(deep_pipelines()) == DEEP
    for name in KNOWN:
        assert hasattr(build(PipelineSpec(name, name), None), "fit")
    roles = {role(PipelineSpec(name, name)) for name in KNOWN}
    assert roles == {"dare", "control", "classical", "deep"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, r"unknown key 'titel' \(did you mean 'title'\?\)"),
        ({"title": None}, "lacks the key 'title'"),
        ({"candidate": "CSP"}, "candidate names 'CSP', which is not among"),
        ({"seeds": [0.5]}, "seeds must be one or more integers"),
        ({"permutations": -1}, "permutations must be an integer of 0 or more"),
        ({"pipelines": []}, "pipelines must be a list of one or more"),
        ({"pipelines": ["CPS + LDA"]}, r"no pipeline 'CPS \+ LDA' \(did you mean 'CSP \+ LDA'\?\)"),
        ({"pipelines": ["MDM", "MDM"]}, "two pipelines are called 'MDM'"),
        ({"pipelines": [{"name": "MDM", "grid": {"a": 1}}]}, "grid must be parameters with lists"),
        ({"datasets": []}, "datasets must be a list"),
        ({"datasets": [{"name": "x", "kind": "tape"}]}, "kind must be one of simulated, recordings"),
        ({"datasets": [changed(windw=[0, 1])]}, r"\(tiny oddball\) has the unknown key 'windw'"),
        ({"datasets": [changed(window=[1, 0])]}, "window must be two rising numbers"),
        ({"datasets": [changed(band=[30, 7])]}, "band must be two rising frequencies"),
        ({"datasets": [changed(metrics=["roc"])]}, "metrics must be metrics that scikit-learn knows"),
        ({"datasets": [changed(classes=["a"])]}, "classes must be two or more classes"),
        ({"datasets": [changed(paradigm="p300")]}, "paradigm must be one of motor, erp"),
        ({"datasets": [changed(split={"kind": "subjects"})]}, "split lacks the key 'n_splits'"),
        ({"datasets": [changed(split={"kind": "shuffle", "by": "run"})]}, "unknown key 'by'"),
        ({"datasets": [changed(protocol={"us": "x"})]}, "protocol has the unknown key 'us'"),
        ({"datasets": TINY["datasets"] * 2}, "two data sets are called 'tiny oddball'"),
        ({"learning_curve": {"sizes": [8], "pipelines": ["MDM"]}}, "learning_curve: pipelines names"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tiny, changes, message):
    with pytest.raises(SuiteError, match=message):
        tiny(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("suite: x\nsuite: y", "the key 'suite' stands there twice"),
        ("!!python/object/apply:os.system ['true']", "no valid YAML"),
        ("- a\n- b", "must hold keys and values"),
        ("a: [", "no valid YAML"),
    ],
)
def test_files_that_are_no_suite(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=message):
        read_suite(path)


def test_no_such_suite():
    with pytest.raises(SuiteError, match="no suite 'simulatd': pass one of published, recordings"):
        read_suite("simulatd")


def test_parameters_of_pipelines(tiny):
    suite = tiny(pipelines=[{"name": "DARE embeddings + LR", "params": {"lr__C": 0.5}}, "MDM"])
    assert build(suite.pipelines[0], None).get_params()["lr__C"] == 0.5
    wrong = PipelineSpec("probe", "DARE conv-linear probe", {"max_epoch": 3})
    with pytest.raises(SuiteError, match=r"no parameter 'max_epoch' \(did you mean 'max_epochs'"):
        build(wrong, None)


def test_two_pipelines_of_one_kind(tiny):
    twin = {"name": "wide", "kind": "band power + LR", "params": {"lr__C": 100.0}}
    suite = tiny(pipelines=[*TINY["pipelines"], twin])
    assert [spec.kind for spec in suite.pipelines].count("band power + LR") == 2


def test_choosing_pipelines(tiny):
    suite = choose_pipelines(tiny(), ["band power + LR", "MDM"], deep=False)
    assert [spec.name for spec in suite.pipelines] == ["band power + LR", "MDM"]
    kept = choose_pipelines(tiny(), ["DARE embeddings + LR"], deep=True)
    assert kept.pipelines[0].grid == {"lr__C": [0.01, 1.0]}
    assert [spec.name for spec in kept.pipelines[1:]] == list(DEEP)
    assert suite.candidate == "DARE embeddings + LR"  # nothing of DARE: no other takes its place
    own = {**TINY["datasets"][0], "pipelines": ["band power + LR", "MDM"]}
    deep = choose_pipelines(tiny(datasets=[own]), None, deep=True)
    assert [spec.name for spec in deep.datasets[0].pipelines] == ["band power + LR", "MDM", *DEEP]
    named = choose_pipelines(tiny(datasets=[own]), ["MDM"], deep=False)
    assert named.datasets[0].pipelines is None
    with pytest.raises(SuiteError, match="no pipeline 'magic'"):
        choose_pipelines(tiny(), ["magic"], deep=False)


def test_maps(tmp_path):
    path = tmp_path / "recordings.yaml"
    dataset = {
        "name": "mine", "files": "{subject}.edf", "window": [0, 1], "metrics": "accuracy",
        "split": {"kind": "leave-one-subject-out"}, "classes": {1: "a", 2: "b"},
    }  # fmt: skip
    path.write_text(yaml.safe_dump({"datasets": [dataset]}))
    _, (spec,) = read_map(path)
    assert spec.kind == "recordings" and spec.cut.classes == {"1": "a", "2": "b"}
    path.write_text(yaml.safe_dump({"datasets": [dataset], "pipelines": ["MDM"]}))
    with pytest.raises(SuiteError, match="unknown key 'pipelines'"):
        read_map(path)

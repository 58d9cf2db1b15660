"""Tiny suites and tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from dare_sklearn.benchmark import Options, Results, read_suite, run_suite

TINY = {
    "suite": "tiny",
    "title": "A tiny <suite>",
    "candidate": "DARE embeddings + LR",
    "permutations": 5,
    "pipelines": [
        {"name": "DARE embeddings + LR", "grid": {"lr__C": [0.01, 1.0]}},
        "band power + LR",
        "downsampled + LDA",
    ],
    "datasets": [
        {
            "name": "tiny oddball",
            "kind": "simulated",
            "paradigm": "erp",
            "subjects": 3,
            "epochs": 12,
            "duration": 0.5,
            "sfreq": 128,
            "channels": "C3 Cz Pz",
            "split": {"kind": "leave-one-subject-out"},
            "metrics": ["roc_auc", "accuracy"],
            "protocol": {"here": "a test", "paper": "not stated"},
        }
    ],
}


@pytest.fixture
def tiny(tmp_path):
    """Writes a suite that differs from the tiny one in some keys, and reads it."""

    def read(**changes):
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}), encoding="utf-8")
        return read_suite(path)

    return read


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Results:
    """A finished run of the tiny suite with two data sets and a learning curve."""
    folder = tmp_path_factory.mktemp("run")
    second = {**TINY["datasets"][0], "name": "tiny hands", "paradigm": "motor", "seed": 3}
    second |= {"split": {"kind": "within-subject", "n_splits": 2}, "metrics": ["accuracy"]}
    content = {**TINY, "datasets": [*TINY["datasets"], second]}
    content["learning_curve"] = {
        "sizes": [6],
        "pipelines": ["DARE embeddings + LR", "band power + LR"],
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    options = Options(folder / "out", encoder="untrained", progress=False, command="a <command>")
    return run_suite(read_suite(path), options)


@pytest.fixture
def made_up(results):
    """Results whose scores are given: pipeline to scores of people, per data set."""

    def make(**datasets):
        tables, known = [], {}
        for name, scores in datasets.items():
            for pipeline, values in scores.items():
                n = len(values)
                tables.append(
                    pd.DataFrame(
                        {
                            "dataset": name, "pipeline": pipeline, "fold": range(n),
                            "subject": [f"S{i}" for i in range(n)], "n_subjects": 1, "n_train": 90,
                            "n_test": 10, "accuracy": values, "chance_accuracy": 0.5,
                            "p_accuracy": 0.2, "fit_seconds": 2.0 if "DARE" in pipeline else 1.0,
                            "predict_seconds": 0.0, "peak_memory_mb": 1.0, "best_params": None,
                        }
                    )
                )  # fmt: skip
            known[name] = {
                **results.datasets["tiny hands"],
                "metrics": ["accuracy"],
                "kind": "recordings",
            }
        return replace(
            results,
            scores=pd.concat(tables, ignore_index=True),
            curve=pd.DataFrame(),
            datasets=known,
        )

    return make


@pytest.fixture
def people():
    """Scores of ten people around a mean."""
    spread = 0.02 * np.array([-2, -1.5, -1, -0.5, -0.2, 0.2, 0.5, 1, 1.5, 2])
    return lambda mean, wobble=0.0: mean + spread + wobble * np.cos(np.arange(10))

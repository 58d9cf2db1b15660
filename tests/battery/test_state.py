"""What fit learns: all of it, from nothing else, the same each time, and through files."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import tempfile
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.exceptions import NotFittedError

from .settings import (
    ALIGNERS,
    ALL,
    CLOSED_FORM,
    EMBEDDING,
    N_EPOCHS,
    N_TIMES,
    NAMES,
    NETWORKS,
    OTHER_NAMES,
    OTHER_SFREQ,
    OTHER_X,
    PRETRAINERS,
    PROBES,
    SFREQ,
    TRANSFORMERS,
    X,
    assert_all_listed,
    battery,
    fitted,
    learned,
    output,
    set_layout,
    target,
)

# Public methods, and what to call them with.
NEED_A_FIT = {
    "predict": lambda name: (X,),
    "predict_proba": lambda name: (X,),
    "decision_function": lambda name: (X,),
    "score": lambda name: (X, target(name)),
    "transform": lambda name: (X,),
    "update": lambda name: (X,),
    "get_feature_names_out": lambda name: (),
    "save_pretrained": lambda name: ("never written",),
    "push_to_hub": lambda name: ("never/written",),
}
NEED_NO_FIT = {
    "fit", "fit_transform", "get_params", "set_params", "set_output", "from_pretrained",
    "get_metadata_routing",
}  # fmt: skip


def check_methods_need_a_fit(name, make):
    estimator = make()
    methods = {
        method
        for method, _ in inspect.getmembers(estimator, callable)
        if not method.startswith("_") and not method.endswith("_request")
    }
    assert methods <= NEED_A_FIT.keys() | NEED_NO_FIT
    for method in methods - NEED_NO_FIT:
        with pytest.raises(NotFittedError, match=type(estimator).__name__):
            getattr(estimator, method)(*NEED_A_FIT[method](name))


def check_fit_returns_itself_and_keeps_params(name, make):
    estimator = make()
    before = estimator.get_params(deep=False)
    shown = repr(before)
    assert estimator.fit(X, target(name)) is estimator
    after = estimator.get_params(deep=False)
    assert before.keys() == after.keys() and repr(after) == shown
    assert all(before[param] is after[param] for param in before)


def check_names_of_attributes(name, make):
    assert set(vars(make())) == set(make().get_params(deep=False))
    new = set(vars(fitted(name))) - set(make().get_params(deep=False))
    assert new and all(attribute.endswith("_") or attribute.startswith("_") for attribute in new)


def check_documented_attributes(name, make):
    """Every entry of the docstring's Attributes exists after fit, where its mode has it."""
    estimator = fitted(name)
    section = type(estimator).__doc__.split("Attributes\n    ----------\n")[1].split("\n\n")[0]
    heads = [line for line in section.splitlines() if line.startswith(4 * " ")]
    names = " ".join(line.split(":")[0] for line in heads if line[4] != " ")
    documented = {word for word in names.replace(",", " ").split() if word.endswith("_")}
    only_linear, only_networks = {"linear_"}, {"module_", "net_"}
    if name.endswith("virtual"):
        documented -= {"net_"}  # of gradient steps
    documented -= {"space_", "pca_"}  # of one pooling, and of n_components
    if name in PROBES:
        documented -= only_networks if estimator.adaptation == "linear" else only_linear
    assert len(documented) >= 4
    assert not [attribute for attribute in documented if not hasattr(estimator, attribute)]


def check_layout_attributes(name, make):
    estimator = fitted(name)
    assert estimator.n_chans_in_ == estimator.n_features_in_ == len(NAMES)
    if name in ALIGNERS:
        assert estimator.ch_names_in_ is None  # arrays carry none, and it takes none
        return
    assert estimator.ch_names_in_ == ["C3", "CZ", "C4"]
    assert estimator.sfreq_in_ == SFREQ and estimator.n_times_in_ == N_TIMES
    assert not any(p.requires_grad for p in estimator.encoder_.parameters()) or ("finetune" in name)
    assert not estimator.encoder_.training


def check_history(name, make):
    n_epochs = 3
    again = {} if name in CLOSED_FORM else {"max_epochs": n_epochs}
    for estimator in (fitted(name), make(**again).fit(X, target(name))):
        history = estimator.history_
        assert isinstance(history, pd.DataFrame)
        assert {"epoch", "lr", "seconds"} < set(history.columns)
        assert isinstance(estimator.n_iter_, int)
        assert estimator.n_iter_ >= (not name.endswith("virtual"))
        if name in CLOSED_FORM:
            assert not len(history)
        else:
            assert history["epoch"].tolist() == list(range(1, estimator.n_iter_ + 1))
            assert np.isfinite(history.to_numpy()).all()
            assert estimator.n_iter_ == estimator.max_epochs


def check_same_seed_same_bits(name, make):
    assert learned(make().fit(X, target(name))) == learned(fitted(name))


def _seed(name, random_state):
    """The parameter that decides, which is the pretrainer's own where one is inside."""
    return {"encoder__random_state" if "pretraining" in name else "random_state": random_state}


def check_same_generator_same_bits(name, make):
    y = target(name)
    one, two, other = (
        make().set_params(**_seed(name, np.random.RandomState(seed))).fit(X, y)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(output(one, X), output(two, X))
    assert learned(one) == learned(two)
    assert np.abs(output(other, X) - output(one, X)).max() > 1e-4


def check_other_seed_other_result(name, make):
    other = make().set_params(**_seed(name, 1)).fit(X, target(name))
    assert np.abs(output(other, X) - output(fitted(name), X)).max() > 1e-4


def check_global_generators_stay(name, make):
    def states():
        return random.getstate(), joblib.hash(np.random.get_state()), torch.get_rng_state().tolist()

    before = states()
    estimator = make().fit(X, target(name))
    output(estimator, X)
    pickle.loads(pickle.dumps(estimator))
    copy.deepcopy(estimator)
    assert states() == before


def check_global_generators_have_no_say(name, make):
    state = torch.get_rng_state()
    try:
        torch.manual_seed(12345)
        assert learned(make().fit(X, target(name))) == learned(fitted(name))
    finally:
        torch.set_rng_state(state)


def _assert_like_fresh(used, name):
    assert learned(used) == learned(fitted(name))
    np.testing.assert_array_equal(output(used, X), output(fitted(name), X))


def check_refit_after_another_layout(name, make):
    used = make()
    set_layout(used, ch_names=OTHER_NAMES, sfreq=OTHER_SFREQ)
    y = None if name in TRANSFORMERS else np.arange(len(OTHER_X)) % 3
    used.fit(OTHER_X, y)
    assert output(used, OTHER_X).shape[0] == len(OTHER_X)
    set_layout(used, ch_names=NAMES, sfreq=SFREQ)
    _assert_like_fresh(used.fit(X, target(name)), name)


def check_refit_after_a_table(name, make):
    used = make()
    set_layout(used, ch_names=["C4"])
    used.fit(pd.DataFrame(X[:, 0]).add_prefix("t"), target(name))
    assert used.n_features_in_ == N_TIMES and len(used.feature_names_in_) == N_TIMES
    set_layout(used, ch_names=NAMES)
    _assert_like_fresh(used.fit(X, target(name)), name)


def check_refit_after_another_adaptation(name, make):
    own = make().adaptation
    used = make()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no effect with adaptation")  # meant for one of them
        for other in ("linear", "conv-linear", "finetune"):
            used.set_params(adaptation=other).fit(X, target(name))
    _assert_like_fresh(used.set_params(adaptation=own).fit(X, target(name)), name)


def check_refit_after_a_failure(name, make):
    """A fit that was refused leaves either the earlier model or none, never half of each."""
    used = copy.deepcopy(fitted(name))
    before = output(used, X)
    set_layout(used, ch_names=OTHER_NAMES, sfreq=OTHER_SFREQ)
    with pytest.raises(ValueError):
        used.fit(OTHER_X, np.zeros(2)) if name in PROBES else used.fit(OTHER_X * np.nan)
    set_layout(used, ch_names=NAMES, sfreq=SFREQ)
    try:
        after = output(used, X)
    except NotFittedError:
        return
    np.testing.assert_array_equal(after, before)


def check_outputs_change_nothing(name, make):
    estimator = fitted(name)
    params, before, data = estimator.get_params(), learned(estimator), X.copy()
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(estimator, method):
            first, second = (getattr(estimator, method)(data) for _ in range(2))
            np.testing.assert_array_equal(first, second)
            first[...] = 0  # the answer is the caller's own
    assert learned(estimator) == before and estimator.get_params() == params
    np.testing.assert_array_equal(data, X)


def _assert_same(twin, name):
    """A copy of the fitted estimator: the same state, and the same answers."""
    original = fitted(name)
    assert type(twin) is type(original) and repr(twin) == repr(original)
    assert learned(twin) == learned(original)
    np.testing.assert_array_equal(output(twin, X), output(original, X))
    if hasattr(original, "history_"):
        pd.testing.assert_frame_equal(twin.history_, original.history_)


def check_pickle(name, make):
    twin = pickle.loads(pickle.dumps(fitted(name)))
    _assert_same(twin, name)
    _assert_like_fresh(twin.fit(X, target(name)), name)  # it can learn again


def check_pickle_unfitted(name, make):
    twin = pickle.loads(pickle.dumps(make()))
    assert vars(twin).keys() == vars(make()).keys() and repr(twin) == repr(make())
    with pytest.raises(NotFittedError):
        output(twin, X)


def check_joblib(name, make):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.joblib"
        joblib.dump(fitted(name), file)
        _assert_same(joblib.load(file), name)
        _assert_same(joblib.load(file, mmap_mode="r"), name)  # arrays on disk are read-only
        joblib.dump(fitted(name), file, compress=3)
        _assert_same(joblib.load(file), name)


def check_deepcopy(name, make):
    _assert_same(copy.deepcopy(fitted(name)), name)
    _assert_same(copy.copy(fitted(name)), name)


def check_skops(name, make):
    stored = skops.io.dumps(fitted(name))
    untrusted = skops.io.get_untrusted_types(data=stored)
    assert all(kind.startswith("dare_sklearn.") for kind in untrusted), untrusted
    _assert_same(skops.io.loads(stored, trusted=untrusted), name)


def check_files_hold_no_signals(name, make):
    """A model of many epochs is as large as one of few."""
    data = np.concatenate([X] * 6)
    large = make().fit(data, target(name, len(data)))
    small = make().fit(data[:16], target(name, 16))  # enough for every kind of filter
    assert len(pickle.dumps(large)) < len(pickle.dumps(small)) + X.nbytes


def check_feature_names(name, make):
    estimator = fitted(name)
    features = estimator.transform(X)
    names = estimator.get_feature_names_out()
    assert features.dtype == np.float32 and features.shape == (N_EPOCHS, len(names))
    assert len(set(names)) == len(names) and names.dtype == object
    assert all(isinstance(n, str) and n.startswith("dare_") for n in names)


def check_pandas_output(name, make):
    estimator = make().set_output(transform="pandas").fit(X)
    expected = fitted(name).transform(X)
    for table in (estimator.transform(X), make().set_output(transform="pandas").fit_transform(X)):
        assert isinstance(table, pd.DataFrame)
        assert table.columns.tolist() == fitted(name).get_feature_names_out().tolist()
        np.testing.assert_array_equal(table.to_numpy(), expected)
    frame = pd.DataFrame(X[:, 0], index=[f"epoch {i}" for i in range(N_EPOCHS)]).add_prefix("t")
    single = make(ch_names=["C4"]).set_output(transform="pandas").fit(frame)
    assert single.transform(frame).index.tolist() == frame.index.tolist()


def check_fit_transform(name, make):
    estimator = make()
    found = estimator.fit_transform(X, None)
    np.testing.assert_allclose(found, fitted(name).transform(X), rtol=0, atol=1e-6)
    assert learned(estimator) == learned(fitted(name))


CHECKS = {
    check_methods_need_a_fit: ALL,
    check_fit_returns_itself_and_keeps_params: ALL,
    check_names_of_attributes: ALL,
    check_documented_attributes: ALL,
    check_layout_attributes: ALL,
    check_history: {**PROBES, **PRETRAINERS},
    check_same_seed_same_bits: ALL,
    check_same_generator_same_bits: NETWORKS,
    check_other_seed_other_result: NETWORKS,
    check_global_generators_stay: ALL,
    check_global_generators_have_no_say: ALL,
    check_refit_after_another_layout: ALL,
    check_refit_after_a_table: ALL,
    check_refit_after_another_adaptation: PROBES,
    check_refit_after_a_failure: ALL,
    check_outputs_change_nothing: ALL,
    check_pickle: ALL,
    check_pickle_unfitted: ALL,
    check_joblib: ALL,
    check_deepcopy: ALL,
    check_skops: ALL,
    check_files_hold_no_signals: ALL,
    check_feature_names: EMBEDDING,
    check_pandas_output: EMBEDDING,
    check_fit_transform: TRANSFORMERS,
}


@battery(CHECKS)
def test_state(name, make, check):
    check(name, make)


def test_every_check_is_listed():
    assert_all_listed(globals(), CHECKS)

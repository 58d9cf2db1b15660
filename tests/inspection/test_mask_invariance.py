"""The measurement of mask invariance."""

import numpy as np
import pytest
import torch

from dare_sklearn import DAREEmbedder, simulate_epochs
from dare_sklearn.inspection import mask_invariance


@pytest.fixture(scope="module")
def epochs():
    return simulate_epochs("motor", n_subjects=2, n_epochs=8, random_state=0)


def test_table(epochs):
    table = mask_invariance(None, epochs, n_draws=2, n_chans=6, random_state=0)
    assert table.groupby("overlap").size().tolist() == [2] * 5
    # intersection over union of 6 and 6 channels
    assert table.groupby("overlap")["n_shared"].first().tolist() == [0, 2, 3, 4, 5]
    for _, row in table.iterrows():
        views = [set(row[view].split()) for view in ("first_view", "second_view")]
        assert [len(view) for view in views] == [6, 6]
        assert len(views[0] & views[1]) == row["n_shared"]
    means = table.groupby("overlap")[["positive_cosine", "retrieval"]].mean()
    assert means["positive_cosine"].is_monotonic_increasing
    overlapping = table[table["n_shared"] > 0]
    assert (overlapping["positive_cosine"] > overlapping["negative_cosine"]).all()


def test_against_embeddings_computed_apart(epochs):
    embedder = DAREEmbedder(None, pooling="mean", random_state=0).fit(epochs)
    table = mask_invariance(embedder, epochs, overlaps=[0.0], n_draws=1, n_chans=5, random_state=3)
    row = table.iloc[0]
    names = {name.upper(): name for name in epochs.ch_names}
    first, second = (
        DAREEmbedder(None, pooling="mean", random_state=0).fit_transform(
            epochs.copy().pick([names[n] for n in row[view].split()])
        )
        for view in ("first_view", "second_view")
    )
    first, second = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (first, second))
    cosine = first @ second.T
    own = np.eye(len(cosine), dtype=bool)
    assert row["positive_cosine"] == pytest.approx(cosine[own].mean(), abs=1e-5)
    assert row["negative_cosine"] == pytest.approx(cosine[~own].mean(), abs=1e-5)
    assert row["retrieval"] == pytest.approx((cosine.argmax(1) == np.arange(len(cosine))).mean())


def test_a_warning_is_given_once(epochs):
    strange = epochs.copy().rename_channels({"Fp1": "AFz"})
    with pytest.warns(UserWarning, match="does not know are left out: AFZ") as caught:
        mask_invariance(None, strange, overlaps=[0.0], n_draws=1, random_state=0)
    assert len(caught) == 1


def test_same_draws_for_every_encoder(epochs):
    one = mask_invariance(None, epochs, n_draws=2, random_state=0)
    encoder = DAREEmbedder(None, pooling="mean", random_state=5).fit(epochs).encoder_
    other = mask_invariance(encoder, epochs, n_draws=2, random_state=0)
    assert one["first_view"].equals(other["first_view"])
    assert not np.allclose(one["positive_cosine"], other["positive_cosine"])


def test_views_of_a_channel_blind_encoder_are_alike(epochs):
    """An encoder that gives one and the same answer has cosines of 1 and retrieves by chance."""
    encoder = DAREEmbedder(None, pooling="mean", random_state=0).fit(epochs).encoder_
    with torch.no_grad():
        encoder.norm.weight.zero_()
        encoder.norm.bias.fill_(1.0)
    table = mask_invariance(encoder, epochs, overlaps=[0.0], n_draws=3, random_state=0)
    assert np.allclose(table[["positive_cosine", "negative_cosine"]], 1.0)
    assert (table["retrieval"] <= 2 / len(epochs)).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_chans": 40}, "Two views of 40 channels with 0 in common need 80 channels.*knows 62"),
        ({"overlaps": [1.5]}, "overlaps must be numbers from 0 to 1, got .1.5."),
        ({"n_chans": 2.5}, "'n_chans' parameter .* must be an int in the range .1, 62."),
        ({"unknown_channels": "keep"}, "'unknown_channels' parameter of mask_invariance must be"),
        ({"n_draws": 0}, "'n_draws' parameter of mask_invariance"),
        ({"n_trials": 1}, "'n_trials' parameter .* must be an int in the range .2, inf."),
    ],
)
def test_bad_parameters(epochs, params, message):
    with pytest.raises(ValueError, match=message):
        mask_invariance(None, epochs, random_state=0, **params)


def test_a_single_trial(epochs):
    with pytest.raises(ValueError, match="X holds one: pass more epochs"):
        mask_invariance(None, epochs[:1], random_state=0)

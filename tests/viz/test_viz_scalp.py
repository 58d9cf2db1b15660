"""Maps over the scalp: filters and patterns of a probe, relevance of channels."""

import copy
import dataclasses

import mne
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from sklearn.exceptions import NotFittedError
from sklearn.utils import Bunch

from dare_sklearn import DAREClassifier, DAREEmbedder, DARERegressor
from dare_sklearn.viz import plot_channel_relevance, plot_spatial_filters
from dare_sklearn.viz.scalp import place_electrodes, spelled_electrode

NAMES = ["Fz", "C3", "Cz", "C4", "T3"]
TARGETS = ["C3", "C4", "Fpz", "T8", "Oz", "Pz"]
RNG = np.random.default_rng(0)
X = 10 * RNG.normal(size=(8, 5, 64))
X[:, 1] += X[:, 0]  # channels that go together, so that patterns are no filters
Y = np.arange(8) % 2
LAYOUT = {"sfreq": 64.0, "unit": "uV", "target_channels": TARGETS, "random_state": 0}


def make_probe(kind=DAREClassifier, ch_names=NAMES, **params):
    return kind(None, ch_names=ch_names, spatial_init="spline", max_epochs=1, **LAYOUT, **params)


def make_info(names, **moved):
    """An Info with the template's positions, and those of other names at that of an electrode."""
    template = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    info = mne.create_info(names, 64.0, "eeg")
    places = {name: template[moved.get(name, name)] for name in names}
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    return info


@pytest.fixture(scope="module")
def probe():
    return make_probe().fit(X, Y)


def electrodes_of(ax):
    (electrodes,) = [c for c in ax.collections if isinstance(c, PathCollection)]
    return electrodes


def drawn_values(ax):
    return np.asarray(electrodes_of(ax).get_array())


def maps_of(fig):
    return [ax for ax in fig.axes if ax.images]


def test_filters_are_the_weights(look, probe):
    fig = plot_spatial_filters(probe, targets=["T4", "fpz"])
    look(fig)
    weight = probe.module_.spatial.layers[0].weight.detach().numpy()[:, :, 0]
    assert [ax.get_title() for ax in maps_of(fig)] == ["T8", "Fpz"]
    for ax, row in zip(maps_of(fig), [3, 2], strict=True):
        np.testing.assert_allclose(drawn_values(ax), weight[row], rtol=1e-6)
    limits = {ax.images[0].get_clim() for ax in maps_of(fig)}
    assert limits == {(-np.abs(weight[2:4]).max(), np.abs(weight[2:4]).max())}


def test_the_largest_filters_come_first(look, probe):
    probe = copy.deepcopy(probe)
    weight = probe.module_.spatial.layers[0].weight.data
    weight /= weight.norm(dim=1, keepdim=True)
    weight *= torch.tensor([0.5, 0.9, 0.5, 0.1, 0.7, 0.6])[:, None, None]
    fig = plot_spatial_filters(probe, n_maps=5)
    look(fig)
    # equal ones in the order of the targets
    assert [ax.get_title() for ax in maps_of(fig)] == ["C4", "Oz", "Pz", "C3", "Fpz"]
    assert len(maps_of(plot_spatial_filters(probe, n_maps=50))) == 6


def test_patterns_are_those_of_haufe(look, probe):
    fig = plot_spatial_filters(probe, X, targets=TARGETS)
    look(fig)
    weight = probe.module_.spatial.layers[0].weight.detach().numpy()[:, :, 0]
    x = probe._load(X)[:].astype(float)  # at the encoder's rate
    x = (x - x.mean(axis=-1, keepdims=True)).transpose(1, 0, 2).reshape(5, -1)
    covariance = x @ x.T / x.shape[1]
    expected = covariance @ weight.T / np.sqrt(np.diag(weight @ covariance @ weight.T))
    drawn = np.array([drawn_values(ax) for ax in maps_of(fig)]).T
    np.testing.assert_allclose(drawn, expected, atol=1e-4)
    # channel 0 hardly enters the filter of C3, and carries half of its signal
    assert abs(weight[0, 0]) < 0.1 and drawn[0, 0] > 2


def test_patterns_of_an_encoder_that_does_not_centre(probe):
    probe = copy.deepcopy(probe)
    encoder = probe.module_.encoder
    encoder.config = dataclasses.replace(encoder.config, center=False)
    drawn = [drawn_values(ax) for ax in maps_of(plot_spatial_filters(probe, X))]
    offset = X + 50 * np.arange(5)[:, None]  # no part of a covariance
    moved = [drawn_values(ax) for ax in maps_of(plot_spatial_filters(probe, offset))]
    np.testing.assert_allclose(moved, drawn, atol=1e-3)


def test_patterns_of_several_layers_and_no_filters():
    probe = make_probe(DARERegressor, spatial_layers=2, adaptation="finetune").fit(X, Y * 1.0)
    with pytest.raises(ValueError, match="spatial_layers=2 are not a single matrix: pass X"):
        plot_spatial_filters(probe)
    fig = plot_spatial_filters(probe, X, targets="Oz")
    assert [ax.get_title() for ax in maps_of(fig)] == ["Oz"]
    assert np.isfinite(drawn_values(maps_of(fig)[0])).all()


def test_positions_of_the_recording(look):
    names = ["Fz", "C3", "Cz", "C4", "mine"]
    info = make_info(names, mine="T7")
    epochs = mne.EpochsArray(X * 1e-6, info, verbose="error")
    probe = DAREClassifier(
        None, spatial_init="spline", target_channels=TARGETS, max_epochs=1, random_state=0
    )
    probe.fit(epochs, Y)
    with pytest.raises(ValueError, match=r"no position for MINE: rename .* or pass info="):
        plot_spatial_filters(probe)
    look(plot_spatial_filters(probe, info=info))
    look(plot_spatial_filters(probe, epochs))


def test_a_probe_without_names():
    probe = make_probe(ch_names=None).fit(X, Y)
    with pytest.raises(ValueError, match="channels without names: fit it with ch_names"):
        plot_spatial_filters(probe)


def test_bad_probes(probe):
    with pytest.raises(TypeError, match="DAREClassifier or DARERegressor, got a DAREEmbedder"):
        plot_spatial_filters(DAREEmbedder(None))
    with pytest.raises(NotFittedError):
        plot_spatial_filters(make_probe())
    layout = {name: value for name, value in LAYOUT.items() if name != "target_channels"}
    linear = DAREClassifier(None, adaptation="linear", ch_names=NAMES, **layout).fit(X, Y)
    with pytest.raises(ValueError, match="adaptation='linear' .* has no spatial convolution"):
        plot_spatial_filters(linear)
    for wrong, said in ((["Cz"], "Cz"), ([], "none")):
        with pytest.raises(ValueError, match=f"target electrodes .*C3, C4, FPZ.* got {said}"):
            plot_spatial_filters(probe, targets=wrong)
    for n_maps in (0, 1.5):
        with pytest.raises(ValueError, match="'n_maps' parameter of plot_spatial_filters"):
            plot_spatial_filters(probe, n_maps=n_maps)
    with pytest.raises(TypeError, match=r"info must be an mne.Info"):
        plot_spatial_filters(probe, info=NAMES)


def test_an_info_is_not_taken_for_names():
    info = mne.create_info(NAMES, 128.0, "eeg")
    with pytest.raises(TypeError, match="pass info="):
        plot_channel_relevance(np.zeros(len(NAMES)), info)


def test_places_are_those_of_the_head():
    names = ["Fpz", "Cz", "Oz", "T7", "T8"]
    front, middle, back, left, right = place_electrodes(names, {})
    assert front[1] > middle[1] > back[1] and abs(front[0]) < 0.005
    assert left[0] < -0.06 < 0.06 < right[0]
    assert np.linalg.norm(middle) < 0.02
    assert all(0.06 < np.linalg.norm(place) < 0.095 for place in (front, back, left, right))
    assert [spelled_electrode(name) for name in ("FPZ", "T8", "T4", "E1")] == [
        "Fpz",
        "T8",
        "T4",
        "E1",
    ]


@pytest.mark.parametrize("as_array", [False, True])
def test_relevance(look, as_array):
    importances = np.array([[0.0, 0.01, -0.01], [0.3, 0.31, 0.29], [0.1, -0.1, 0.1], [-0.1] * 3])
    bunch = Bunch(importances=importances, ch_names=["Fz", "C3", "Cz", "C4"])
    fig = (
        plot_channel_relevance(importances, ch_names=bunch.ch_names)
        if as_array
        else plot_channel_relevance(bunch)
    )
    look(fig)
    ax = fig.axes[0]
    np.testing.assert_allclose(drawn_values(ax), importances.mean(axis=1))
    # only C3 lies two standard deviations above zero
    electrodes = electrodes_of(ax)
    np.testing.assert_array_equal(
        np.array(electrodes.get_linewidths()) > 1, [False, True, False, False]
    )
    assert {text.get_text() for text in ax.texts} == {"Fz", "C3", "Cz", "C4"}
    assert ax.images[0].get_clim() == pytest.approx((-0.3, 0.3))
    # mne's map has the values at the electrodes
    image, extent = np.asarray(ax.images[0].get_array()), ax.images[0].get_extent()
    for (x, y), value in zip(electrodes.get_offsets(), importances.mean(axis=1), strict=True):
        column = round((x - extent[0]) / (extent[1] - extent[0]) * (image.shape[1] - 1))
        row = round((y - extent[2]) / (extent[3] - extent[2]) * (image.shape[0] - 1))
        assert image[row, column] == pytest.approx(value, abs=0.03)


def test_relevance_of_a_dense_cap_and_of_nothing(look, own_axes):
    names = mne.channels.make_standard_montage("biosemi64").ch_names
    ax = own_axes(width=3.6, height=3.0)
    fig = plot_channel_relevance(RNG.normal(size=64), names, ax=ax)
    assert fig is ax.figure and not ax.texts
    look(fig)
    look(plot_channel_relevance(np.zeros((3, 2)), ["C3", "Cz", "C4"]))
    look(plot_channel_relevance([0.1, 0.2], ["C3", "C4"]))


def test_relevance_with_positions_of_the_recording(look):
    info = make_info(["Cz", "mine", "Pz"], mine="C3")
    look(plot_channel_relevance([0.1, 0.2, 0.0], info=info))
    with pytest.raises(ValueError, match="no position for mine"):
        plot_channel_relevance([0.1, 0.2, 0.0], info.ch_names)


def test_bad_relevance():
    with pytest.raises(ValueError, match="pass ch_names, or info"):
        plot_channel_relevance([0.1, 0.2])
    with pytest.raises(ValueError, match="are 2 importances for 3 channels"):
        plot_channel_relevance([0.1, 0.2], ["C3", "Cz", "C4"])
    with pytest.raises(ValueError, match="finite numbers of shape"):
        plot_channel_relevance([0.1, np.nan], ["C3", "Cz"])
    with pytest.raises(ValueError, match="two channels or more"):
        plot_channel_relevance([0.1], ["Cz"])

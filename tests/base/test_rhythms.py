"""The block of rhythms, against the long way round."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import eigh

from dare_sklearn.base.embed import read_rhythms, rhythm_frequencies


def noise(n_epochs=3, n_chans=5, n_times=512, seed=0):
    return np.random.default_rng(seed).standard_normal((n_epochs, n_chans, n_times))


def read(x):
    return read_rhythms(torch.from_numpy(x), 256.0)


def test_largest_ratio_that_any_weights_have():
    x = noise()
    found = read(x)
    frequencies = rhythm_frequencies(512, 256.0)
    assert found.shape == (3, len(frequencies))
    assert frequencies[[0, -1]].tolist() == [3.0, 45.0]
    bins = np.fft.rfftfreq(512, 1 / 256)
    window = np.sin(np.pi * (np.arange(512) + 0.5) / 512)
    for epoch in range(3):
        spectrum = np.fft.rfft((x[epoch] - x[epoch].mean(axis=1, keepdims=True)) * window)
        for number in (0, 20, 84):
            own = spectrum[:, bins == frequencies[number]]
            distance = np.abs(bins - frequencies[number])
            around = spectrum[:, (distance > 1) & (distance <= 8) & (bins > 0)]
            around = (around @ around.conj().T).real / around.shape[1]
            around = 0.97 * around + 0.03 * np.trace(around) / 5 * np.eye(5)
            # real weights see the real and the imaginary part: the sum of both ratios
            ratios = eigh((own @ own.conj().T).real, around, eigvals_only=True)
            expected = np.log1p(ratios.sum() / 5)
            np.testing.assert_allclose(found[epoch, number], expected, rtol=1e-5)


def test_flicker_is_found_wherever_it_is_on_the_scalp():
    x = noise(40, 8)
    where = noise(40, 8, 1, seed=1)
    phase = np.random.default_rng(2).uniform(0, 2 * np.pi, (40, 1, 1))
    flicker = 0.3 * where * np.sin(2 * np.pi * 17 * np.arange(512) / 256 + phase)
    frequencies = rhythm_frequencies(512, 256.0)
    assert (frequencies[read(x + flicker).argmax(axis=1)] == 17).mean() > 0.9
    # noise has a ratio of 1 per electrode, if there are many bins around
    np.testing.assert_allclose(np.expm1(read(noise(10, 3, 2048))).mean(), 1, atol=0.05)


def test_blind_to_unit_offset_and_order_of_electrodes():
    x = noise()
    found = read(x)
    np.testing.assert_allclose(read(0.1 * x + 0.5), found, rtol=1e-4)
    np.testing.assert_allclose(read(x[:, ::-1].copy()), found, rtol=1e-4)


def test_flat_signals_say_nothing_and_short_epochs_are_not_read():
    assert (read(np.zeros((2, 3, 512))) == 0).all()
    assert read(noise(2, 3, 448)).shape == (2, 0)
    assert not len(rhythm_frequencies(448, 256.0))

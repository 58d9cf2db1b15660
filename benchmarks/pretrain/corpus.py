"""The stream of unlabelled EEG that the shipped encoders are pretrained on.

Simulated people are drawn block by block and never come back. Batch `i` is a function of the seed
and `i` only, so that a run resumes anywhere without a saved state. `recordings` has the real part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dare_sklearn import simulate_epochs
from dare_sklearn.signals.electrodes import ELECTRODES
from dare_sklearn.simulation.simulate import CLASSES

SFREQ = 256.0


@dataclass(frozen=True)
class CorpusConfig:
    """What the stream holds.

    Parameters
    ----------
    batch_size : int
    n_patches : int
        Patches (250 ms) per window.
    people : int, default=8
        Simulated people per paradigm in a block.
    seconds : int, default=32
        Length of each person's recording.
    cuts : int, default=2
        Sets of windows cut from a recording, each at another phase; no window comes twice.
    full_montage : float, default=0.5
        Share of batches with all electrodes; the others have a random choice of them.
    min_chans : int, default=16
        Smallest of these choices.
    amplitude_spread : float, default=0.5
        Every window is scaled by exp(u), u uniform within plus and minus this.
    """

    batch_size: int
    n_patches: int
    people: int = 8
    seconds: int = 32
    cuts: int = 2
    full_montage: float = 0.5
    min_chans: int = 16
    amplitude_spread: float = 0.5


class Stream:
    """Batches by the number of the step, for `DAREPretrainer.fit`.

    Parameters
    ----------
    config : CorpusConfig
    seed : int
    n_steps : int
        Steps of an epoch.
    """

    def __init__(self, config: CorpusConfig, seed: int, n_steps: int) -> None:
        self.config, self.seed, self.n_steps = config, seed, n_steps
        self.block: tuple[int, np.ndarray | None] = -1, None  # the last one that was made

    def __len__(self) -> int:
        return self.n_steps

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Microvolts ``(batch_size, n_chans, n_times)``, and rows of the table of electrodes."""
        number, place = divmod(step, self.steps_per_block)
        if number != self.block[0]:
            self.block = number, simulated_windows(self.config, self.seed, number)
        return self._batch(step, self.block[1], place)

    @property
    def steps_per_block(self) -> int:
        c = self.config
        per_cut = int(c.seconds * SFREQ) // (64 * c.n_patches) - 1
        return len(CLASSES) * c.people * c.cuts * per_cut // c.batch_size

    def _batch(self, step: int, windows: np.ndarray, place: int):
        c = self.config
        rng = np.random.default_rng([self.seed, 1, step])
        index = np.arange(len(ELECTRODES))
        x = windows[place * c.batch_size : (place + 1) * c.batch_size]
        if rng.random() >= c.full_montage and len(index) > c.min_chans:
            n_chans = int(rng.integers(c.min_chans, len(index)))
            chosen = np.sort(rng.choice(len(index), n_chans, replace=False))
            x, index = x[:, chosen], index[chosen]
        scale = np.exp(rng.uniform(-c.amplitude_spread, c.amplitude_spread, (len(x), 1, 1)))
        return x * scale.astype(np.float32), index


def simulated_windows(config: CorpusConfig, seed: int, block: int) -> np.ndarray:
    """All windows of block number `block`, shuffled: ``(n_windows, 62, n_times)``, microvolts."""
    rng = np.random.default_rng([seed, 0, block])
    length = 64 * config.n_patches
    windows = []
    for paradigm in CLASSES:
        epochs = simulate_epochs(
            paradigm,
            n_subjects=config.people,
            n_epochs=config.seconds,
            duration=1.0,
            reference="random",
            artifacts=float(rng.uniform(0.3, 1.5)),
            random_state=rng,
        )
        data = epochs.get_data(copy=False)
        # a person's epochs follow each other without gaps: one recording again
        data = data.reshape(config.people, config.seconds, *data.shape[1:])
        data = (data.transpose(0, 2, 1, 3).reshape(config.people, data.shape[2], -1) * 1e6).astype(
            np.float32
        )
        count = data.shape[2] // length - 1
        for start in rng.choice(length, config.cuts, replace=False):
            cut = data[:, :, start : start + count * length]
            cut = cut.reshape(*cut.shape[:2], count, length)
            windows.append(cut.transpose(0, 2, 1, 3).reshape(-1, cut.shape[1], length))
    windows = np.concatenate(windows)
    return windows[rng.permutation(len(windows))]

"""Simulated EEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import checks
from ..checks import Keys, SuiteError
from ._base import Context, Cut, Recordings, assemble

PARADIGMS = ("motor", "erp", "steady_state")


@dataclass(frozen=True)
class Simulated:
    """`dare_sklearn.simulate_epochs`."""

    paradigm: str
    subjects_: int
    epochs: int
    duration: float
    effect: float
    artifacts: float
    seed: int

    @classmethod
    def read(cls, keys: Keys) -> Simulated:
        """From the keys of a data set."""
        return cls(
            paradigm=keys.take("paradigm", checks.one_of(*PARADIGMS)),
            subjects_=keys.take("subjects", checks.at_least(1), 6),
            epochs=keys.take("epochs", checks.at_least(4), 40),
            duration=keys.take("duration", checks.positive, 2.0),
            effect=keys.take("effect", checks.number, 1.0),
            artifacts=keys.take("artifacts", checks.number, 1.0),
            seed=keys.take("seed", checks.count, 0),
        )

    def subjects(self, context: Context) -> None:
        """All people come at once."""
        return None

    def load(self, cut: Cut, context: Context, subjects: Sequence[str] | None) -> Recordings:
        """Simulate."""
        from ...simulation import simulate_epochs

        if cut.band is not None:
            raise SuiteError("Simulated epochs are not filtered: leave band out.")
        epochs = simulate_epochs(
            self.paradigm,
            n_subjects=min(self.subjects_, context.n_subjects or self.subjects_),
            n_epochs=self.epochs,
            duration=self.duration,
            sfreq=cut.sfreq or 256.0,
            ch_names=cut.channels,
            effect=self.effect,
            artifacts=self.artifacts,
            random_state=self.seed,
        )
        meta = epochs.metadata[["subject", "run"]].reset_index(drop=True)
        labels = epochs.metadata["label"].tolist()
        if cut.window is not None:
            epochs.crop(*cut.window, include_tmax=False)
        return assemble(epochs, labels, meta, cut)

"""The real part of the corpus: recordings that are prepared once, and a stream of their windows.

Run: python -m benchmarks.pretrain.recordings CORPUS --leave-out DATA --out FOLDER

CORPUS holds a folder per data set, with FIF files and people.csv (file, subject, group). People of
the same sets in DATA are left out: development tasks are made of them, so an encoder never sees the
people that it is scored on. FOLDER gets one array per recording (float32 microvolts, 256 Hz,
high-pass at 0.5 Hz, the encoder's electrodes in order, without bad ones), its bad seconds, and
recordings.csv, which says what went in.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dare_sklearn.signals.electrodes import electrode_index

SFREQ = 256
FLAT_UV = 0.5  # standard deviation of a second
LOUD = 4.0  # times the typical channel of the recording
ARTEFACT, ARTEFACT_UV = 6.0, 60.0  # times the channel's typical second, and at least
CLIP_UV = 1000.0
REFERENCES = ("as recorded", "average", "one electrode")


def prepare(corpus: Path, leave_out: Path, out: Path) -> pd.DataFrame:
    """Write the arrays, and return what `recordings.csv` says of them."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for people in sorted(corpus.glob("*/people.csv")):
        name = people.parent.name
        table = pd.read_csv(people)
        held_out = set()
        if (leave_out / name / "people.csv").exists():
            held_out = set(pd.read_csv(leave_out / name / "people.csv")["subject"])
        table = table[~table["subject"].isin(held_out)]
        for file, subject in zip(table["file"], table["subject"], strict=True):
            raw = mne.io.read_raw_fif(people.parent / file, preload=True, verbose="error")
            x, index, bad, about = clean(raw)
            stem = f"{name}__{Path(file).name.split('_raw.fif')[0]}"
            np.save(out / f"{stem}.npy", x)
            np.savez(out / f"{stem}.npz", index=index, bad=bad)
            rows.append({"set": name, "subject": subject, "recording": stem, **about})
    table = pd.DataFrame(rows)
    table.to_csv(out / "recordings.csv", index=False)
    return table


def clean(raw: mne.io.BaseRaw) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """Microvolts ``(n_chans, n_times)``, rows of the electrodes, bad seconds, and what was done."""
    rows = {name: electrode_index(name.upper()) for name in raw.ch_names}
    names = sorted((name for name in rows if rows[name] is not None), key=rows.get)
    raw = raw.copy().pick(names).reorder_channels(names).filter(0.5, None, verbose="error")
    if raw.info["sfreq"] != SFREQ:
        raw.resample(SFREQ, method="polyphase", verbose="error")
    x = (raw.get_data() * 1e6).astype(np.float32)
    seconds = x[:, : x.shape[1] // SFREQ * SFREQ].reshape(len(x), -1, SFREQ).std(axis=2)
    typical = np.median(seconds, axis=1)
    good = (typical > FLAT_UV) & (typical < LOUD * np.median(typical))
    loud = (seconds > ARTEFACT * typical[:, None]) & (seconds > ARTEFACT_UV)
    bad = loud[good].mean(axis=0) > 0.1
    index = np.array([rows[name] for name in names])
    about = {
        "seconds": round(x.shape[1] / SFREQ, 1),
        "bad_seconds": int(bad.sum()),
        "electrodes": int(good.sum()),
        "bad_electrodes": " ".join(np.array(names)[~good]),
        "typical_uv": round(float(np.median(typical[good])), 2),
    }
    return x[good], index[good], bad, about


@dataclass(frozen=True)
class Recording:
    """One prepared recording."""

    subject: str
    x: Tensor  # (n_chans, n_times)
    index: np.ndarray
    bad: np.ndarray  # of every second


class RecordingStream:
    """Batches of windows by the number of the step, for `DAREPretrainer.fit`.

    A batch is of one data set, drawn in proportion to its people times its electrodes, and of
    several people, so that windows of one person and of others are told apart. References and
    choices of electrodes are drawn anew for every batch.

    Parameters
    ----------
    folder : Path
        What `prepare` wrote.
    batch_size, n_patches : int
        Windows of a batch, and patches of 250 ms of a window.
    n_steps : int
        Steps of an epoch.
    seed : int
    n_people : int, default=8
        People in a batch.
    min_chans, full_montage, amplitude_spread
        As in `CorpusConfig`.
    device : str or None, default=None
        Where batches are made: on a GPU, which holds all recordings then. None reads them from
        disk.
    """

    def __init__(
        self,
        folder: Path,
        batch_size: int,
        n_patches: int,
        n_steps: int,
        seed: int,
        *,
        n_people: int = 8,
        min_chans: int = 8,
        full_montage: float = 0.4,
        amplitude_spread: float = 0.5,
        device: str | None = None,
    ) -> None:
        self.batch_size, self.length, self.n_steps = batch_size, 64 * n_patches, n_steps
        self.seed, self.n_people = seed, n_people
        self.min_chans, self.full_montage = min_chans, full_montage
        self.amplitude_spread = amplitude_spread
        self.sets: dict[str, dict[str, list[Recording]]] = {}
        table = pd.read_csv(folder / "recordings.csv", dtype={"subject": str})
        for name, subject, stem in table[["set", "subject", "recording"]].values:
            about = np.load(folder / f"{stem}.npz")
            # "c": torch wants arrays that could be written
            x = torch.from_numpy(np.load(folder / f"{stem}.npy", mmap_mode="c")).to(device)
            if x.shape[1] > self.length:
                person = self.sets.setdefault(name, {}).setdefault(subject, [])
                person.append(Recording(subject, x, about["index"], about["bad"]))
        size = table.groupby("set").agg(n=("subject", "nunique"), chans=("electrodes", "mean"))
        weight = (size["n"] * size["chans"])[list(self.sets)].to_numpy()
        self.weights = weight / weight.sum()

    def __len__(self) -> int:
        return self.n_steps

    def batch(self, step: int) -> tuple[Tensor, np.ndarray]:
        """Microvolts ``(batch_size, n_chans, n_times)``, and rows of the table of electrodes."""
        rng = np.random.default_rng([self.seed, 2, step])
        people = self.sets[list(self.sets)[rng.choice(len(self.sets), p=self.weights)]]
        n_people = min(self.n_people, len(people))
        chosen = [
            people[subject][rng.integers(len(people[subject]))]
            for subject in rng.choice(sorted(people), n_people, replace=False)
        ]
        index = np.array(sorted(set.intersection(*(set(one.index.tolist()) for one in chosen))))
        counts = np.full(n_people, self.batch_size // n_people)
        counts[: self.batch_size % n_people] += 1
        windows = []
        for one, count in zip(chosen, counts, strict=True):
            rows = torch.from_numpy(np.searchsorted(one.index, index)).to(one.x.device)
            windows += [
                one.x[:, at : at + self.length][rows] for at in self._starts(one, count, rng)
            ]
        x = torch.stack(windows)
        x, index = self._reference(x, index, rng)
        if rng.random() >= self.full_montage and len(index) > self.min_chans:
            n_chans = int(rng.integers(self.min_chans, len(index)))
            kept = np.sort(rng.choice(len(index), n_chans, replace=False))
            x, index = x[:, kept], index[kept]
        gain = np.exp(rng.uniform(-self.amplitude_spread, self.amplitude_spread, (len(x), 1, 1)))
        return (x * torch.tensor(gain, dtype=x.dtype).to(x.device)).clip(-CLIP_UV, CLIP_UV), index

    def _starts(self, one: Recording, count: int, rng: np.random.Generator) -> list[int]:
        """First samples of windows without a bad second; any windows where there is none."""
        last = one.x.shape[1] - self.length
        starts = rng.integers(0, last + 1, 20 * count)
        ends = (starts + self.length - 1) // SFREQ
        bad_before = np.r_[0, np.cumsum(np.r_[one.bad, False])]
        clean = starts[bad_before[ends + 1] == bad_before[starts // SFREQ]]
        return [*clean[:count], *starts[: max(count - len(clean), 0)]]

    @staticmethod
    def _reference(
        x: Tensor, index: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, np.ndarray]:
        reference = REFERENCES[rng.integers(len(REFERENCES))]
        if reference == "average":
            return x - x.mean(dim=1, keepdim=True), index
        if reference == "one electrode":
            one = int(rng.integers(len(index)))
            others = np.arange(len(index)) != one
            return (x - x[:, one : one + 1])[:, others], index[others]
        return x, index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--leave-out", type=Path, required=True, help="folder of development data")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    table = prepare(args.corpus, args.leave_out, args.out)
    print(
        table.groupby("set").agg(
            people=("subject", "nunique"),
            hours=("seconds", lambda seconds: round(seconds.sum() / 3600, 2)),
            bad_seconds=("bad_seconds", "sum"),
            electrodes=("electrodes", "mean"),
        )
    )


if __name__ == "__main__":
    main()

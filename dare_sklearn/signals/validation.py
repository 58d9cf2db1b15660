"""What makes signals unusable, in one sentence each."""

from __future__ import annotations

import warnings

import numpy as np


def check_values(
    data: np.ndarray, ch_names: tuple[str, ...] | None, owner: str, *, fitted: bool = False
) -> None:
    """Refuse NaN, infinite values and channels without any signal.

    Parameters
    ----------
    data : ndarray, shape (n_epochs, n_chans, n_times)
    ch_names : tuple of str, or None
    owner : str
        Who asks, for messages.

    fitted : bool, default=False
        Whether a model is there already: a single epoch with a flat channel is predicted with a
        warning then, as it would be among others.

    Raises
    ------
    ValueError
        Naming the channels.
    """
    if data.shape[-1] < 2:
        raise ValueError(
            f"{owner} got epochs of a single sample (n_features = 1): cut longer ones."
        )
    finite = np.isfinite(data).all(axis=-1)  # (n_epochs, n_chans)
    if not finite.all():
        bad_epochs = np.flatnonzero(~finite.all(axis=1))
        raise ValueError(
            f"{owner} got NaN or infinite values (inf) in {_names(~finite.all(axis=0), ch_names)}, "
            f"epochs {_short(bad_epochs)}: drop these epochs or interpolate the channels first."
        )
    flat = np.ptp(data, axis=-1) == 0  # (n_epochs, n_chans)
    if flat.all(axis=0).any() and not (fitted and len(flat) == 1):
        raise ValueError(
            f"{owner} got a constant signal in {_names(flat.all(axis=0), ch_names)}: drop or "
            "interpolate what was not recorded."
        )
    if flat.any():
        warnings.warn(
            f"{owner} got {int(flat.any(axis=1).sum())} of {len(flat)} epochs with a constant "
            f"signal in {_names(flat.any(axis=0), ch_names)}: consider dropping them.",
            UserWarning,
            stacklevel=2,
        )


def _names(which: np.ndarray, ch_names: tuple[str, ...] | None) -> str:
    index = np.flatnonzero(which)
    if ch_names is None:
        return f"channels {_short(index)}"
    return f"channels {_short([ch_names[i] for i in index])}"


def _short(values, most: int = 6) -> str:
    values = [v if isinstance(v, str) else int(v) for v in values]
    shown = ", ".join(str(v) for v in values[:most])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > most else shown

"""How every estimator of this library reads its ``X``."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data
from torch import nn

from ..signals.container import Signals
from ..signals.readers import read_signals, warn_ignored
from ..signals.sources import Layout
from .cache import EpochCache, open_cache


class SignalInputMixin:
    """Read signals in ``fit``, and hold later ones against what ``fit`` saw.

    Expects the parameters ``ch_names``, ``sfreq`` and ``unit``.
    """

    _needs_ch_names = True
    _fitted_attribute = "encoder_"
    # whether `transform` and `predict` do without some of the fitted channels
    _takes_fewer_chans = False

    def _validate_params(self) -> None:
        """scikit-learn's check, and a sentence on what is often tried."""
        if isinstance(getattr(self, "encoder", None), nn.Module):
            raise TypeError(
                f"The encoder of {type(self).__name__} must be a name, a folder or a "
                "DAREPretrainer, got a network: pass what load_encoder was given, or the "
                "pretrainer whose encoder_ it is."
            )
        super()._validate_params()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted_attribute)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = []  # always float32
        return tags

    def _read(self, X: Any, *, reset: bool) -> Signals:
        """Signals of `X`; with ``reset`` their layout is stored, otherwise compared."""
        owner = type(self).__name__
        if not reset:
            self._validate_params()  # they may have been set since
            self._check_table(X, reset=False)
        signals = read_signals(
            X,
            ch_names=self.ch_names,
            sfreq=self.sfreq,
            unit=self.unit,
            like=None if reset else Layout(self.ch_names_in_, self.sfreq_in_, self.unit_),
            owner=owner,
        )
        if not reset:
            return self._to_fitted_layout(signals)
        warn_ignored(signals, owner)
        self._store_layout(signals)
        if signals.ch_names is None and len(getattr(X, "shape", ())) == 2:
            warnings.warn(
                f"{owner} reads a 2-D X as epochs of one channel ({signals.n_epochs} epochs of "
                f"{signals.n_times} samples): pass ch_names, such as ['Cz'], to confirm.",
                UserWarning,
                stacklevel=3,
            )
        self.n_features_in_ = signals.n_chans
        self._check_table(X, reset=True)
        return signals

    def _open_cache(self) -> EpochCache | None:
        """The cache of an estimator that has the parameter."""
        params = vars(self)
        return open_cache(params["cache"], params["cache_mb"]) if "cache" in params else None

    def _check_table(self, X: Any, *, reset: bool) -> None:
        """scikit-learn's own check of a 2-D input: number and names of its columns (samples)."""
        is_table = len(getattr(X, "shape", ())) == 2
        if reset:
            self._fitted_on_table = is_table
        if is_table and self._fitted_on_table:
            validate_data(self, X, skip_check_array=True, reset=reset)
        elif reset and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _store_layout(self, signals: Signals) -> None:
        if signals.ch_names is None and self._needs_ch_names:
            raise ValueError(
                f"{type(self).__name__} got {signals.n_chans} channel(s) without names: pass "
                "ch_names=[...], one electrode name per channel (or mne.Epochs, which carry them)."
            )
        self.ch_names_in_ = None if signals.ch_names is None else list(signals.ch_names)
        self.sfreq_in_ = signals.sfreq
        self.n_chans_in_ = signals.n_chans
        self.n_times_in_ = signals.n_times
        self.unit_ = signals.unit
        self.ignored_ch_names_ = list(signals.ignored)

    def _to_fitted_layout(self, signals: Signals) -> Signals:
        """The signals in the fitted order of channels, or one clear error."""
        owner = type(self).__name__
        fitted = self.ch_names_in_
        if signals.ch_names is not None and fitted is not None:
            missing = [name for name in fitted if name not in signals.ch_names]
            extra = [name for name in signals.ch_names if name not in fitted]
            if missing and not extra and self._takes_fewer_chans:
                warnings.warn(
                    f"X lacks {len(missing)} of the {len(fitted)} channels that {owner} was fitted "
                    f"on ({', '.join(missing)}): it goes by the others.",
                    UserWarning,
                    stacklevel=4,
                )
                fitted = [name for name in fitted if name in signals.ch_names]
            elif missing or extra:
                raise ValueError(
                    f"{owner} was fitted on the channels {', '.join(fitted)}; in X, "
                    f"{', '.join(missing) or 'none'} are missing and {', '.join(extra) or 'none'} "
                    "are new: pick the fitted channels."
                )
            signals = signals.reorder(fitted)
        expected = self.n_chans_in_ if fitted is None else len(fitted)
        if signals.n_chans != expected:
            raise ValueError(
                f"X has {signals.n_chans} channels, but {owner} was fitted on {expected}: "
                "pass the same channels in the same order."
            )
        if not np.isclose(signals.sfreq, self.sfreq_in_):
            raise ValueError(
                f"X was sampled at {signals.sfreq:g} Hz, but {owner} was fitted on "
                f"{self.sfreq_in_:g} Hz: resample X."
            )
        if signals.n_times != self.n_times_in_:
            raise ValueError(
                f"X has {signals.n_times} samples per epoch, but {owner} was fitted on "
                f"{self.n_times_in_}: cut epochs of the same length."
            )
        return signals

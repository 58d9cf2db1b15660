"""How every estimator reads what it is given, and fits whole or not at all."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from numbers import Number, Real
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data
from torch import nn

from ..signals.container import Signals
from ..signals.errors import SignalError, about, listed, tell
from ..signals.grid import Windows
from ..signals.readers import read_signals, tell_ignored, tell_unusual
from ..signals.validation import UNITS, summarize
from ..training.device import fork_safe
from ..weights.files import shorten
from .cache import open_cache

# Warnings that each estimator has given, which are no part of its state.
_SAID: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
SIGNAL_CONSTRAINTS: dict = {
    "ch_names": ["array-like", None],
    "sfreq": [Interval(Real, 0, None, closed="neither"), None],
    "unit": [StrOptions(set(UNITS))],
}
EXTENSIONS = (pd.api.extensions.ExtensionDtype, np.dtypes.StringDType)  # of columns
TINY = 1e-30  # of weights, whose squares would be lost
_LOCK = fork_safe(threading.Lock())
_fits, _dtype = 0, torch.float32  # fits of all threads, and the default type before the first


@contextmanager
def _float32() -> Iterator[None]:
    """Make networks in float32; torch has one default type for all threads of the process."""
    global _fits, _dtype
    with _LOCK:
        if not _fits:
            _dtype = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _fits += 1
    try:
        yield
    finally:
        with _LOCK:
            _fits -= 1
            if not _fits:
                torch.set_default_dtype(_dtype)


def whole_or_not_at_all(fit: Callable) -> Callable:
    """Decorate ``fit``: one that fails leaves the estimator as it was, never half refitted.

    Its messages begin with the estimator's name. It also fits under ``torch.inference_mode()``, and
    in float32 under another default type or an autocast of torch.
    """

    @wraps(fit)
    def guarded(self, *args, **kwargs):
        before, gradients = vars(self).copy(), torch.is_grad_enabled()
        try:
            full = torch.autocast("cpu", enabled=False)  # networks turn on their own
            with _float32(), full, torch.inference_mode(False), self._asking():
                return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        finally:
            # Ctrl-C between two instructions of a "with" would leave them off for the process
            torch.set_grad_enabled(gradients)

    return guarded


class SignalInputMixin:
    """Read signals in ``fit``, and compare later ones with what ``fit`` saw.

    Expects the parameters ``ch_names``, ``sfreq`` and ``unit``.
    """

    _fitted_attribute = "encoder_"
    # whether `transform` and `predict` do without some of the fitted channels
    _takes_fewer_chans = False

    def _validate_params(self) -> None:
        """Check parameters; explain common mistakes with `encoder` and `ch_names`."""
        encoder = getattr(self, "encoder", None)
        if isinstance(encoder, nn.Module):
            raise TypeError(
                f"The encoder of {type(self).__name__} must be a name, a folder or a "
                "DAREPretrainer, got a network: pass what load_encoder was given, or the "
                "pretrainer whose encoder_ it is."
            )
        if isinstance(getattr(self, "ch_names", None), str):
            raise ValueError(
                f"ch_names must be a list of names, got the text {self.ch_names!r}: pass "
                f"ch_names=[{self.ch_names!r}]."
            )
        for name, kinds in self._parameter_constraints.items():  # True is an integer to Python
            value = getattr(self, name, None)
            if isinstance(value, bool) and any(isinstance(kind, Interval) for kind in kinds):
                raise ValueError(
                    f"The {name!r} parameter of {type(self).__name__} must be a number, got "
                    f"{value}."
                )
        super()._validate_params()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted_attribute)

    def __sklearn_clone__(self) -> Self:
        """A clone, which does not repeat the warnings of the original."""
        twin = super().__sklearn_clone__()
        _SAID[twin] = _SAID.setdefault(self, set())
        return twin

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = []  # always float32
        return tags

    def _asking(self) -> AbstractContextManager[None]:
        """Put this estimator's name in front of messages inside, and warn once of each thing."""
        return about(type(self).__name__, _SAID.setdefault(self, set()))

    @property
    def _needs_ch_names(self) -> bool:
        """Whether channels go to the electrodes of the encoder's table; else as recorded."""
        return vars(self).get("adaptation", "linear") == "linear"

    def _read(self, X: Any, *, reset: bool) -> Signals:
        """Signals of `X`; with ``reset`` their layout is stored, otherwise compared."""
        if not reset:
            self._validate_params()  # they may have been set since
            self._check_table(X, reset=False)
        # a probe that learns from signals as recorded embeds none
        cache = vars(self).get("cache") if self._needs_ch_names else None
        summary_of = summarize if cache is None else open_cache(cache, self.cache_mb).summarize
        given = {"ch_names": self.ch_names, "sfreq": self.sfreq, "unit": self.unit}
        if not reset:
            given |= {"like": self._layout(), "takes_fewer": self._takes_fewer_chans}
        signals = read_signals(X, **given, summary_of=summary_of)
        if not reset:
            return signals
        tell_ignored(signals)
        if self._fitted_attribute == "encoder_":
            tell_unusual(signals)
        self._store_layout(signals)
        if signals.ch_names is None and len(getattr(X, "shape", ())) == 2:
            tell(
                f"a 2-D X is read as epochs of one channel ({len(signals.data)} epochs of "
                f"{self.n_times_in_} samples): pass ch_names, such as ['Cz'], to confirm.",
                "2-D",
            )
        self.n_features_in_ = self.n_chans_in_
        self._check_table(X, reset=True)
        return signals

    def _load(self, X: Any) -> Windows:
        """`X` in the layout of ``fit``, on the grid of ``encoder_``."""
        unknown = self.unknown_channels if self._needs_ch_names else None
        return Windows(self._read(X, reset=False), self.encoder_.config, unknown=unknown)

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
        self.ch_names_in_ = None if signals.ch_names is None else list(signals.ch_names)
        self.sfreq_in_, self.unit_, self._positions = signals.sfreq, signals.unit, signals.positions
        _, self.n_chans_in_, self.n_times_in_ = signals.data.shape
        self.ignored_ch_names_ = list(signals.ignored)
        self._amplitude = signals.typical

    def _layout(self) -> Signals:
        """What ``fit`` saw, as far as it is known: a folder holds only some of it."""
        own, data = vars(self), None
        if not own.get("_mixed"):  # a corpus of several layouts is no template
            data = np.empty((0, self.n_chans_in_, self.n_times_in_), np.float32)
        return Signals(
            data, self.ch_names_in_, self.sfreq_in_, unit=self.unit_,
            positions=own.get("_positions", {}), ignored=own.get("ignored_ch_names_", ()),
            typical=own.get("_amplitude", np.nan),
        )  # fmt: skip


class SignalOutputMixin:
    """Of transformers that make signals of signals, which are no table."""

    def set_output(self, *, transform: Any = None) -> Self:
        """No effect; it stands here for the other steps of a pipeline."""
        return self


def read_column(values: Any, name: str, n_epochs: int | None = None) -> np.ndarray:
    """One value per epoch, ``(n_epochs,)``, of the kind that was passed.

    Pandas' nullable and categorical values are read too, and a single column. A ValueError names
    the parameter, and the epochs of missing, masked or infinite values.
    """
    if isinstance(values, dict | set | str | bytes | Number) or getattr(values, "shape", 0) == ():
        raise ValueError(f"{name} must hold one value per epoch, got a {type(values).__name__}.")
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    if np.ma.isMaskedArray(values) and np.ma.is_masked(values):
        _refuse(np.ma.getmaskarray(values), name)
    if isinstance(values, list | tuple) and all(np.ndim(value) == 0 for value in values):
        # NaN among strings would become the string "nan"
        _refuse(pd.isna(np.array(values, dtype=object)), name)
    if isinstance(getattr(values, "dtype", None), EXTENSIONS):
        _refuse(pd.isna(values), name)
        values = np.array(values.tolist())  # as the plain type below, not as objects or floats
    try:
        values = column_or_1d(values, input_name=name, warn=True)
    except ValueError as error:  # whose other lines may be the values
        raise ValueError(f"{name} must hold one value per epoch: {_first_line(error)}.") from None
    if values.dtype == object and all(isinstance(value, Number | np.bool_) for value in values):
        values = np.array(values.tolist())  # of a mixed table
    _refuse(pd.isna(values), name)
    if values.dtype.kind in "mM":  # of nanoseconds, Python would make bare numbers
        values = values.astype(f"{values.dtype.kind}8[us]")
    if values.dtype.kind in "fc":
        _refuse(np.isinf(values), name, "infinite values")
    if n_epochs not in (None, len(values)):
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n_epochs}, "
            f"{len(values)}] ({len(values)} {name} for {n_epochs} epochs). Pass one per epoch of X "
            "(of mne.Epochs, those that drop_bad() keeps)."
        )
    return values


def read_targets(y: Any, n_epochs: int) -> np.ndarray:
    """One target per epoch; a SignalError if there are none."""
    if y is None:
        raise SignalError(
            "fit requires y to be passed, but the target y is None: pass one target per epoch "
            "(only mne.Epochs and braindecode data sets carry their own)."
        )
    return read_column(y, "y", n_epochs)


def read_weights(sample_weight: Any, data: Any) -> np.ndarray:
    """Weight of each epoch in `data`; None is 1 for all."""
    try:
        weight = _check_sample_weight(sample_weight, data, dtype=np.float64)
    except (ValueError, TypeError) as error:
        reason = _first_line(error)
        raise ValueError(f"sample_weight must hold one number per epoch ({reason}).") from None
    if (weight < 0).any() or not TINY <= weight.max() <= 1 / TINY:
        raise ValueError(
            "sample_weight must be non-negative, and positive for some epoch; its largest is "
            f"{weight.max():.3g}."
        )
    return weight


def read_groups(groups: Any, n_epochs: int) -> np.ndarray:
    """Group of each epoch; a ValueError if there is not one for each, or they cannot be sorted."""
    groups = read_column(groups, "groups", n_epochs)
    try:
        np.unique(groups)
    except TypeError:
        raise ValueError(
            "groups cannot be told apart by sorting them: pass numbers or strings, all of one kind."
        ) from None
    return groups


def score_of(
    metric: Callable[..., float], y: Any, predicted: np.ndarray, sample_weight: Any
) -> float:
    """A metric of scikit-learn, of targets that are checked as those of ``fit`` are."""
    y = read_column(y, "y of score", len(predicted))
    try:
        return float(metric(y, predicted, sample_weight=sample_weight))
    except (ValueError, TypeError) as error:
        raise ValueError(
            "y (or sample_weight) in score does not fit the predictions, such as "
            f"{predicted[0].item()!r} ({_first_line(error)}): pass targets of the kind of those of "
            "fit."
        ) from None


def _first_line(error: Exception) -> str:
    return shorten(error).rstrip(".")


def _refuse(wrong: Any, name: str, what: str = "missing values (NaN, None, NaT or masked)") -> None:
    """An error that names the first epochs where `wrong` is true."""
    if len(found := np.flatnonzero(wrong)):
        raise ValueError(
            f"{name} has {what} at epochs {listed(found, 5)} (counted from 0): drop these epochs, "
            "or fill in their values."
        )

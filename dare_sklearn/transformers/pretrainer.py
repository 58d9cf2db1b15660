"""DAREPretrainer: self-supervised pretraining as a scikit-learn transformer."""

import copy
import json
import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..base.cache import encoder_digest
from ..base.embed import Reading
from ..base.features import fit_features
from ..base.input import whole_or_not_at_all
from ..modules.config import SIZES, get_config
from ..pretraining.masks import VISIBLE_SHARE
from ..pretraining.objective import PretrainingModel
from ..signals.electrodes import ELECTRODES
from ..signals.errors import tell
from ..signals.objects import split_corpus
from ..training.checkpoint import to_json
from ..training.device import resolve_precision, torch_seed
from ..training.net import history_frame
from ..training.pretrain import TERMS, pretrain
from ..training.processes import is_first
from ..weights.load import load_pretraining_model, save_model
from .embedder import EMBEDDING_CONSTRAINTS, EmbeddingMixin

# Parameters of the objective.
_OBJECTIVE = (*TERMS[:3], "target_norm", "skip_connection", "reconstruction_target")

# Parameters that do not change what is learned: they may differ from those of the fit.
_FREE = {
    "views", "pooling", "layer", "device", "precision", "n_threads", "compile", "verbose",
    "callbacks", "checkpoint_dir", "checkpoint_every", "n_workers", "on_error",
}  # fmt: skip


@dataclass(eq=False, repr=False)  # its __init__ only assigns parameters
class DAREPretrainer(EmbeddingMixin, BaseEstimator):
    """Self-supervised pretraining of a DARE-EEG encoder.

    ``fit`` learns from signals only: masked reconstruction, mask alignment (contrastive, between
    two masked views of a sample) and anchor alignment (against a momentum encoder of the complete
    signal) [1]_. ``transform`` embeds signals with the momentum encoder.

    Parameters
    ----------
    size : {"nano", "light", "small", "base", "deep"}, default="nano"
        Size of the model, from 0.6 to 78 million parameters.
    weights : str, path or None, default=None
        Start from these weights (a shipped name, a folder that `save_pretrained` wrote, or a
        ``.ckpt`` of the authors' code) in place of fresh ones. `size` is ignored then.
    ch_names, sfreq, unit, unknown_channels : default=None, None, "auto", "interpolate"
        How signals are read, as in `DAREEmbedder`.
    window_s : float or sequence of float, default=4.0
        Length in seconds of the windows that are cut from longer epochs or recordings. With
        several, everything is cut once at each length.
    shares : sequence of float or None, default=None
        Share of each item of the list `X` in the batches (in any unit): in an epoch, an item gives
        its windows several times, or only some of them. None gives each window once.
    robust_scale : float or None, default=None
        Remove each channel's median, and scale every continuous recording, whose gains may not be
        comparable, to this interquartile range in microvolts of its typical channel; bad segments
        do not count. None leaves them as they were recorded.
    on_error : {"raise", "skip"}, default="raise"
        How to handle recordings that cannot be used (damaged, not EEG, flat channels, NaN, an
        implausible amplitude) and damaged files of epochs: raise an error that names the first one,
        or leave all of them out with a warning that names them.
    n_workers : int, default=0
        Background processes that read files, and that make the batches of streams. The result is
        the same with any number.
    max_epochs : int, default=200
        Passes through the corpus.
    restarts : sequence of int, default=()
        Epochs after which the courses of the learning rate and of the momentum begin anew.
    batch_size : int, default=216
        Windows in a batch, all of one montage, of each process; streams decide their own.
    lr, weight_decay : float, default=5e-4, 1e-6
        Peak of the one-cycle learning rate; AdamW's decay of weights with two or more dimensions.
    momentum : tuple of float, default=(0.996, 1.0)
        First and last momentum of the momentum encoder; it rises linearly.
    mask_alignment, anchor_alignment, reconstruction : float, default=0.1, 1.0, 1.0
        Weights of the loss terms, up to 1e6; zero switches a term off.
    visible_share : float or (float, float), default=12 / 58
        Share of the channels that a visible patch shows, from 0 (a single channel) to 1; or the
        range in which each batch draws its own.
    hidden_target_share : float, default=1.0
        Share of the channels of a wholly hidden patch that are reconstructed.
    reconstruction_target : {"patch", "bands"}, default="patch"
        Reconstruct the patches themselves, or patches of signals whose frequency bands are
        equally strong over the batch, so that oscillations count as much as slow waves
        (arXiv:2608.01898).
    target_norm, skip_connection : bool, default=True
        Layer norm on the targets of reconstruction and anchor alignment, and the encoder's own
        output at visible patches of the combined sequence. False is an ablation of the paper.
    views, pooling, layer : default="joint", "mean", "last"
        What `transform` reads, as in `DAREEmbedder`. They may change after ``fit``, but for
        ``pooling="covariance"``, which learns from epochs of one layout.
    device, precision : default="auto"
        As in `DAREEmbedder`.
    n_threads : int or None, default=None
        Threads of the CPU that compute during ``fit``; None is torch's own number.
    compile : bool, default=False
        Run the networks through ``torch.compile``. The first call takes minutes and needs a C++
        compiler.
    checkpoint_dir : path or None, default=None
        Folder of checkpoints, from which the same ``fit`` call continues (see Notes). It also holds
        the last model, from which ``weights=checkpoint_dir`` starts another run.
    checkpoint_every : int or None, default=None
        Steps (batches) between checkpoints within an epoch; None writes them only after epochs.
    callbacks : list of skorch callbacks or None, default=None
        Called during pretraining beside our own.
    random_state : int, RandomState or None, default=None
        Seeds the initial weights, the order of the windows and the masks. On a CPU, the same
        integer gives the same bits, with the same version of torch and number of threads. A run
        that continues from a checkpoint keeps the seeds that it began with.
    verbose : int, default=0
        1 shows a progress bar and a line of losses per epoch.

    Attributes
    ----------
    encoder_, model_, net_ : Encoder, PretrainingModel, skorch.NeuralNet
        The momentum encoder, frozen; all networks; and the net that trained them, which pickles
        leave out.
    history_, n_iter_ : pandas.DataFrame, int
        One row per finished epoch: epoch, each loss term, lr, seconds; and their number.
    n_windows_, n_bad_windows_ : int
        Windows of the corpus, with those of an epoch of streams; and windows that were left out,
        because they overlap segments annotated as bad.
    skipped_ : dict of str to str
        Recordings that were left out with ``on_error="skip"``, and why.
    ch_names_in_, sfreq_in_, n_chans_in_, n_times_in_, n_features_in_
        The layout of the corpus; of its first part where it is mixed.

    Raises
    ------
    ValueError
        If signals are unusable (NaN, constant or duplicate channels, an implausible amplitude,
        epochs shorter than a patch of 250 ms), a recording cannot be used (see `on_error`), the
        disk is too small for the windows, or `checkpoint_dir` holds another run, a model of no run,
        or only damaged checkpoints.
    TypeError
        If `X` is of a kind that cannot be read.
    FloatingPointError, MemoryError
        From ``fit``, if the loss becomes NaN (lower `lr`), or naming a `batch_size` to try; the
        latter also from ``transform``, if not even single epochs fit.

    Notes
    -----
    A fitted pretrainer that is passed as ``encoder=`` to another estimator keeps its weights
    through `sklearn.base.clone` and cross-validation; an unfitted one, or one whose parameters were
    changed after its fit, is pretrained in every fold on only that fold's training data.

    **Recordings.** Folders are searched, with all in them but hidden ones and links, for recordings
    (EDF, BDF, GDF, FIF, SET, VHDR, CNT) and files of epochs (``-epo.fif``). Their windows at 256 Hz
    are written into files once, about 230 MB per hour of 62 channels: into `checkpoint_dir`, or a
    temporary folder (``TMPDIR``). Windows are cut side by side, a last one so that it ends with the
    recording; those that overlap an annotation whose name begins with "bad" are left out, as MNE
    does. To filter, rename or pick channels first, pass objects of ``mne.io.read_raw``, which may
    stay on disk too.

    **Streams.** An object with ``len``, the batches in an epoch, and ``batch(step)``, which returns
    microvolts ``(n_windows, n_chans, n_times)`` at 256 Hz in whole patches of 250 ms, and the rows
    of the channels in the encoder's table of electrodes. It must depend only on the number of the
    step, so that a run resumes anywhere.

    **Several GPUs or nodes.** Under ``accelerate launch``, P processes make the same steps as one
    with P times the `batch_size`, to rounding. All end with the same fitted object; the first one
    reads the files for all, which must see what it writes, and is the only one that writes.

    **Checkpoints.** With `checkpoint_dir`, the same ``fit`` call (same signals, and same parameters
    that matter for the weights, `max_epochs` among them) continues a run that was stopped in any
    way, on a CPU to the same bits; the guide's page on reproducibility says what is refused and
    what only changes the rounding. The last two checkpoints are kept; a damaged one is passed over,
    and a full disk endured, with a warning. SIGTERM (in the main thread; exit code 143) and Ctrl-C,
    unless pressed twice, finish and save the step. ``seconds`` of an interrupted epoch count from
    where the run continued, and what your own `callbacks` remember is not kept.

    References
    ----------
    .. [1] Shao, Gong, Dai, Zhang (2026). DARE-EEG. arXiv:2605.18298.

    Examples
    --------
    >>> from dare_sklearn import DAREPretrainer, simulate_epochs
    >>> epochs = simulate_epochs("motor", n_subjects=1, n_epochs=8, random_state=0)
    >>> pretrainer = DAREPretrainer(max_epochs=1, random_state=0).fit(epochs)
    >>> pretrainer.transform(epochs).shape
    (8, 64)
    """

    size: str = "nano"
    _: KW_ONLY
    weights: str | os.PathLike | None = None
    ch_names: Any = None
    sfreq: float | None = None
    unit: str = "auto"
    unknown_channels: str = "interpolate"
    window_s: float | Sequence[float] = 4.0
    shares: Sequence[float] | None = None
    robust_scale: float | None = None
    on_error: str = "raise"
    n_workers: int = 0
    max_epochs: int = 200
    restarts: Sequence[int] = ()
    batch_size: int = 216
    lr: float = 5e-4
    weight_decay: float = 1e-6
    momentum: tuple[float, float] = (0.996, 1.0)
    mask_alignment: float = 0.1
    anchor_alignment: float = 1.0
    reconstruction: float = 1.0
    visible_share: float | tuple[float, float] = VISIBLE_SHARE
    hidden_target_share: float = 1.0
    reconstruction_target: str = "patch"
    target_norm: bool = True
    skip_connection: bool = True
    views: str = "joint"
    pooling: str = "mean"
    layer: str | int = "last"
    device: str = "auto"
    precision: str = "auto"
    n_threads: int | None = None
    compile: bool = False
    checkpoint_dir: str | os.PathLike | None = None
    checkpoint_every: int | None = None
    callbacks: list | None = None
    random_state: Any = None
    verbose: int = 0

    _refit = (
        "pass it to DAREEmbedder(encoder=...), whose fit learns that from epochs of one layout, or "
        "fit it again on such epochs"
    )
    _parameter_constraints: ClassVar[dict] = {
        **EMBEDDING_CONSTRAINTS,
        "size": [StrOptions(set(SIZES))],
        "weights": [str, os.PathLike, None],
        "window_s": [Interval(Real, 0, 1e9, closed="right"), list, tuple, np.ndarray],
        "shares": [list, tuple, np.ndarray, None],
        "robust_scale": [Interval(Real, 0, None, closed="neither"), None],
        "on_error": [StrOptions({"raise", "skip"})],
        "n_workers": [Interval(Integral, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "restarts": [list, tuple, np.ndarray],
        "lr": [Interval(Real, 0, 1e100, closed="right")],
        "weight_decay": [Interval(Real, 0, 1e100, closed="both")],
        "momentum": [tuple, list],
        **{term: [Interval(Real, 0, 1e6, closed="both")] for term in TERMS[:3]},
        "visible_share": [Interval(Real, 0, 1, closed="both"), list, tuple],
        "hidden_target_share": [Interval(Real, 0, 1, closed="both")],
        "reconstruction_target": [StrOptions({"patch", "bands"})],
        "target_norm": ["boolean"],
        "skip_connection": ["boolean"],
        "n_threads": [Interval(Integral, 1, 4096, closed="both"), None],
        "checkpoint_dir": [str, os.PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left"), None],
        "callbacks": [list, None],
    }

    @whole_or_not_at_all
    def fit(self, X: Any, y: Any = None) -> Self:
        """Pretrain on unlabelled signals.

        `KeyboardInterrupt` ends the training early and leaves a usable object; with
        `checkpoint_dir`, another ``fit`` continues from there.

        Parameters
        ----------
        X : array, or mne.Epochs, mne.io.Raw, braindecode windows, path, stream, or a list of these
            A list may mix montages, rates and lengths (see `shares`).
        y : ignored
        """
        self._validate_params()
        self._check_table(X, reset=True)
        net, corpus = pretrain(self, X)
        self._store_layout(corpus.layout)
        if not self._fitted_on_table:
            self.n_features_in_ = self.n_chans_in_
        # neither recordings nor a corpus of several layouts are a template for `transform`
        self._mixed, self.n_windows_ = corpus.mixed, corpus.n_windows
        self.n_bad_windows_, self.skipped_ = corpus.n_bad, corpus.skipped
        net.module_.to("cpu")
        net.set_params(device="cpu")  # a model that was fitted on a GPU loads on any machine
        self.net_ = net
        self.history_ = history_frame(net.history, {**{t: t for t in TERMS}, "train_loss": "total"})
        self.n_iter_ = len(self.history_)
        self._store_model(net.module_)
        if not self._mixed:
            (montage, *_) = corpus.montages
            self.electrodes_ = tuple(ELECTRODES[row] for row in montage.rows)
            if self._learned_params():
                ((epochs, _),) = split_corpus(X)  # opens files of epochs
                fit_features(self, self._load(epochs))
                self._fitted_with = self._learned_params()
        return self

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Write ``config.json`` and ``model.safetensors`` into `folder`.

        The files hold all networks and no data of the corpus. Of several processes that trained
        together, the first one writes them.
        """
        check_is_fitted(self, "model_")
        if is_first():
            save_model(folder, self.model_, kind="DAREPretrainer")

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike, **params: Any) -> Self:
        """A fitted pretrainer with these parameters; its ``fit`` continues from its weights.

        `source` is a shipped name, a folder of `save_pretrained`, or a ``.ckpt`` file.
        """
        pretrainer = cls(weights=source, **params)
        with torch_seed(0):
            pretrainer._store_model(load_pretraining_model(source))
        pretrainer._mixed = True  # the files do not hold the layout of the corpus
        pretrainer._fitted_on_table = False
        pretrainer.ch_names_in_, pretrainer.sfreq_in_ = None, None
        pretrainer.unit_ = "auto"
        return pretrainer

    def _make_model(self) -> PretrainingModel:
        objective = {name: getattr(self, name) for name in _OBJECTIVE}
        if self.weights is not None:
            model = load_pretraining_model(self.weights, **objective)
            size, own = get_config(self.size), model.config
            if self.size != "nano" and (size.embed_dim, size.depth) != (own.embed_dim, own.depth):
                tell(f"size={self.size!r} is not read: weights={self.weights!r} have their own.")
        else:
            model = PretrainingModel(get_config(self.size), **objective)
        Reading.of(self).check(model.config)  # before the training, not after it
        return model

    def _run_params(self, model: PretrainingModel, device: torch.device) -> dict[str, Any]:
        """Parameters that decide what is learned, as a checkpoint gives them back."""
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _FREE}
        params["precision"] = resolve_precision(self.precision, device)
        if self.weights is not None:  # the same name may hold others by now
            params["weights"] = f"{self.weights} (content {encoder_digest(model).hex()[:16]})"
        return json.loads(to_json(params))

    def _store_model(self, model: PretrainingModel) -> None:
        self.model_ = model.eval()
        self.encoder_ = copy.deepcopy(model.target_encoder).requires_grad_(False)
        self._fitted_params, self._fitted_with = _learning_params(self), ()
        for name in ("space_", "electrodes_"):
            vars(self).pop(name, None)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Parameters, and the fingerprint of the weights where it is fitted.

        Tools that tell pipelines apart by their text (MOABB's results, for one) would take two
        encoders of equal parameters for the same one.
        """
        text = super().__repr__(N_CHAR_MAX)
        if not self._is_fitted_for_use():
            return text
        return f"<{text} fitted, weights {encoder_digest(self.encoder_).hex()[:8]}>"

    def _is_fitted_for_use(self) -> bool:
        """Whether it is fitted, and with the parameters that it has now."""
        fitted = vars(self).get("_fitted_params")
        return fitted is not None and fitted == _learning_params(self)

    def __sklearn_clone__(self) -> Self:
        """A clone; a fitted pretrainer keeps its weights (see Notes)."""
        twin = super().__sklearn_clone__()
        if self._is_fitted_for_use():
            params = twin.get_params(deep=False)
            twin.__dict__.update({k: v for k, v in vars(self).items() if k not in params})
        return twin


def _learning_params(pretrainer: DAREPretrainer) -> str:
    params = pretrainer.get_params(deep=False)
    if isinstance(params["random_state"], np.random.RandomState):
        params["random_state"] = "RandomState"  # its repr is an address, which a copy does not keep
    return repr(sorted((name, repr(value)) for name, value in params.items() if name not in _FREE))

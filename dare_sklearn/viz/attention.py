"""What an encoder's summary tokens attend to, over the scalp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..signals.electrodes import ELECTRODES
from ._axes import POSITIVE
from ._scalp import one_map, place_electrodes

if TYPE_CHECKING:
    from torch import Tensor

    from ..modules.encoder import Encoder
    from ..modules.layers import Attention

BATCH = 64  # epochs that are embedded at once


def plot_attention(estimator: Any, X: Any, *, ax: Axes | None = None) -> Figure:
    """How much the encoder's summary tokens attend to each electrode in the last block.

    The softmax's weights [1]_, averaged over epochs, patches, heads and summary tokens. They tell
    from where the last block gathers, not what caused a decision: earlier blocks have mixed the
    channels. For a probe with a spatial convolution, the electrodes are its targets.

    Parameters
    ----------
    estimator : fitted DAREEmbedder, DAREPretrainer, DAREClassifier or DARERegressor
    X : array, mne.Epochs or braindecode data set
        Signals in the layout of its ``fit``.
    ax : Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Colours run from 0 to the largest weight, in percent of a token's attention; the title
        tells what each electrode would get if all were attended alike.

    Raises
    ------
    TypeError, ValueError
        If `estimator` is another, or `X` cannot be read.

    References
    ----------
    .. [1] Vaswani et al. (2017). Attention is all you need. NeurIPS.

    Examples
    --------
    >>> from dare_sklearn import DAREEmbedder, simulate_epochs
    >>> from dare_sklearn.viz import plot_attention
    >>> names = ["Fz", "C3", "Cz", "C4", "Pz"]
    >>> epochs = simulate_epochs(n_subjects=1, n_epochs=4, ch_names=names, random_state=0)
    >>> fig = plot_attention(DAREEmbedder(None, random_state=0).fit(epochs), epochs)
    >>> print(fig.axes[0].get_title())
    Attention of the summary token
    (16.7 % if all were alike)
    """
    bare, names, passes = _prepare(estimator, X)
    places = place_electrodes(names, {})
    weights = 100 * mean_attention(bare, passes)  # (n_chans + embed_num), percent
    mean = weights[: len(names)]
    tokens = "token" if bare.config.embed_num == 1 else "tokens"
    limits = 0.0, mean.max()
    ax = one_map(ax, mean, places, "attention (%)", cmap=POSITIVE, limits=limits, names=names)
    alike = 100 / len(weights)
    ax.set_title(f"Attention of the summary {tokens}\n({alike:.1f} % if all were alike)")
    return ax.figure


def attention_weights(attn: Attention, x: Tensor, n_read: int) -> Tensor:
    """Softmax weights of the last `n_read` tokens, which the encoder never forms as such.

    From the input of `attn`, shape (n_seqs, n_tokens, dim): (n_seqs, n_heads, n_read, n_tokens).
    """
    q, k, _ = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q[:, :, -n_read:] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return scores.softmax(dim=-1)


def mean_attention(encoder: Encoder, passes: Iterator[Any]) -> np.ndarray:
    """Mean weights of the summary tokens in the last block, shape (n_chans + embed_num,).

    `passes` runs the encoder once per step.
    """
    import torch

    total, count, last = 0.0, 0, encoder.blocks[-1]

    def gather(norm: Any, args: tuple, tokens: Any) -> None:
        nonlocal total, count
        weights = attention_weights(last.attn, tokens.float(), encoder.config.embed_num)
        total = total + weights.double().mean(dim=(1, 2)).sum(dim=0).cpu()
        count += len(weights)

    hook = last.norm1.register_forward_hook(gather)
    try:
        with torch.inference_mode():
            for _ in passes:
                pass
    finally:
        hook.remove()
    return (total / count).numpy()


def _prepare(estimator: Any, X: Any) -> tuple[Any, list[str], Iterator[Any]]:
    """The bare encoder, its electrodes, and its passes over `X`."""
    import torch
    from sklearn.utils.validation import check_is_fitted

    from ..base.input import SignalInputMixin

    if not isinstance(estimator, SignalInputMixin):
        kind = type(estimator).__name__
        raise TypeError(f"plot_attention takes a fitted estimator with an encoder, got a {kind}.")
    check_is_fitted(estimator)
    if not hasattr(estimator, "encoder_"):
        raise TypeError("plot_attention needs an estimator with an encoder.")
    windows, module = estimator._load(X), getattr(estimator, "module_", None)
    if module is not None and not hasattr(module, "temporal"):
        raise ValueError(
            f"The probe of spatial_init={estimator.spatial_init!r} shows its encoder one virtual "
            "electrode at a time, so that there is no attention between electrodes."
        )
    bare = estimator.encoder_ if module is None else module.encoder
    rows = windows.rows if module is None else module.targets.tolist()
    device = next(bare.parameters()).device
    channels = torch.as_tensor(rows, device=device)

    def embed(start: int) -> Any:
        x = torch.from_numpy(windows[start : start + BATCH]).to(device)
        return bare(bare.normalize(x), channels) if module is None else module(x)

    return bare, [ELECTRODES[row] for row in rows], map(embed, range(0, len(windows), BATCH))

"""Anchor alignment: the prediction against the momentum encoder of the complete signal."""

from torch import Tensor
from torch.nn import functional as F


def anchor_alignment_loss(predicted: Tensor, anchor: Tensor, target_norm: bool = True) -> Tensor:
    """Mean squared error between the prediction and the layer-normed anchor.

    Parameters
    ----------
    predicted : Tensor, shape (n_epochs, n_patches, embed_num, embed_dim)
        The predictor's output at all patches.
    anchor : Tensor, same shape
        The momentum encoder's output for the complete signal; no gradient flows into it.
    target_norm : bool, default=True
        Layer norm over the width, without affine parameters. False is an ablation of the paper.

    Returns
    -------
    Tensor, scalar
    """
    anchor = anchor.detach()
    if target_norm:
        anchor = F.layer_norm(anchor, anchor.shape[-1:], eps=1e-5)
    return F.mse_loss(predicted, anchor)

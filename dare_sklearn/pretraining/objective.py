"""The whole pretraining model: networks, momentum encoder and the weighted sum of losses."""

import copy

import torch
from torch import Tensor, nn

from ..modules import networks
from ..modules.config import DAREConfig
from . import losses
from .masks import Masks


class PretrainingModel(nn.Module):
    """DARE-EEG pretraining: masked reconstruction, anchor alignment and mask alignment.

    Parameters
    ----------
    config : DAREConfig
    reconstruction, anchor_alignment, mask_alignment : float, default=1.0, 1.0, 0.1
        Weights of the loss terms. Zero switches a term off (two ablations of the paper).
    target_norm, skip_connection : bool, default=True
        Layer norm on the targets of anchor alignment and reconstruction; the encoder's own output
        at visible patches of the combined sequence. False are ablations.
    reconstruction_target : {"patch", "bands"}, default="patch"
        Reconstruct patches of the signals, or of signals whose bands are equally strong (see
        `losses.equalize_bands`).

    Attributes
    ----------
    encoder, target_encoder : Encoder
        The one trained by gradients; its momentum average, which embeddings are made with.
    """

    def __init__(
        self,
        config: DAREConfig,
        *,
        reconstruction: float = 1.0,
        anchor_alignment: float = 1.0,
        mask_alignment: float = 0.1,
        target_norm: bool = True,
        skip_connection: bool = True,
        reconstruction_target: str = "patch",
    ) -> None:
        super().__init__()
        self.config = config
        self.weights = {
            "reconstruction": reconstruction,
            "anchor_alignment": anchor_alignment,
            "mask_alignment": mask_alignment,
            "activation_penalty": losses.PENALTY_WEIGHT,
        }
        self.target_norm = target_norm
        self.skip_connection = skip_connection
        self.reconstruction_target = reconstruction_target
        self.encoder = networks.Encoder(config)
        self.predictor = networks.Predictor(config, skip_connection)
        self.reconstructor = networks.Reconstructor(config)
        self.projection = networks.ProjectionHead(config)
        networks.init_weights(self)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)

    def forward(self, x: Tensor, channels: Tensor, masks: Masks) -> dict[str, Tensor]:
        """Loss terms (scalars) of one batch by name, and their weighted sum under ``"loss"``.

        `x` are microvolts ``(n_epochs, n_chans, n_times)`` at the encoder's sampling rate, and
        `channels` their rows ``(n_chans,)`` in the table of electrodes.
        """
        x = self.encoder.normalize(x)
        patches = networks.to_patches(x, self.config.patch_size)
        # both views in one pass: the encoder reads every patch on its own
        views = self.encoder(x, channels, torch.cat((masks.visible, masks.second_view)))
        first, second = views.chunk(2, dim=1)
        visible_patches = masks.visible[:, 0] // channels.shape[0]
        predicted, combined = self.predictor(first, visible_patches, patches.shape[1])
        terms = {"activation_penalty": losses.activation_penalty(first, second)}
        if self.weights["reconstruction"]:
            if self.reconstruction_target == "bands":
                equalized = losses.equalize_bands(x, self.config.sfreq)
                patches = networks.to_patches(equalized, self.config.patch_size)
            raw = losses.reconstruction_targets(patches, masks.targets, self.target_norm)
            found = self.reconstructor(combined, masks.targets, channels)
            terms["reconstruction"] = losses.reconstruction_loss(found, raw)
        if self.weights["anchor_alignment"]:
            with torch.no_grad():
                anchor = self.target_encoder(x, channels)
            loss = losses.anchor_alignment_loss(predicted, anchor, self.target_norm)
            terms["anchor_alignment"] = loss
        if self.weights["mask_alignment"]:
            loss = losses.mask_alignment_loss(self.projection(first), self.projection(second))
            terms["mask_alignment"] = loss
        terms["loss"] = sum(self.weights[name] * value for name, value in terms.items())
        return terms

    def spec(self) -> dict[str, float | bool | str]:
        """Plain arguments, beside `config`, with which a model of the same objective is made."""
        flags = ("target_norm", "skip_connection", "reconstruction_target")
        all_of_it = {**self.weights, **{name: getattr(self, name) for name in flags}}
        return {name: value for name, value in all_of_it.items() if name != "activation_penalty"}

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """Move the momentum encoder towards the trained one: m · target + (1 - m) · encoder."""
        target = list(self.target_encoder.parameters())
        torch._foreach_lerp_(target, list(self.encoder.parameters()), 1.0 - momentum)

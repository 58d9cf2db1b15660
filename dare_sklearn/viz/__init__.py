"""Figures of what the library computes, with matplotlib and mne.

Every function returns a matplotlib figure that pyplot does not know: notebooks show it, and
``figure.savefig("name.png")`` writes it. Nothing is shown or closed, and no setting of matplotlib
is changed. With ``ax``, functions draw into a figure of your own and return that one.
"""

from .comparison import plot_cost, plot_paired, plot_scores, plot_significance
from .curves import plot_curve, plot_embedding_map, plot_losses, plot_mask_invariance
from .scalp import plot_attention, plot_channel_relevance, plot_spatial_filters

__all__ = [
    "plot_attention", "plot_channel_relevance", "plot_cost", "plot_curve", "plot_embedding_map",
    "plot_losses", "plot_mask_invariance", "plot_paired", "plot_scores", "plot_significance",
    "plot_spatial_filters",
]  # fmt: skip

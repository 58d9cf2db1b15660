"""Figures of the gallery: those that a block of an example made, by name or as its last line.

The library's figures are unknown to pyplot, which is where sphinx-gallery looks for them.
"""

from __future__ import annotations

from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_seen: WeakSet[Figure] = WeakSet()


def scrape(block, block_vars: dict, gallery_conf: dict, **kwargs) -> str:
    """Save every new figure among the example's variables."""
    paths = []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and value not in _seen:
            _seen.add(value)
            path = next(block_vars["image_path_iterator"])
            value.savefig(path, dpi=150, bbox_inches="tight", facecolor="white")
            paths.append(path)
    return figure_rst(paths, gallery_conf["src_dir"])

"""What all figures share; and that the check of looks fails where it should."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from dare_sklearn import viz
from dare_sklearn.viz._axes import (
    PALETTE,
    add_legend,
    new_figure,
    p_text,
    spelled,
    wrap,
)
from dare_sklearn.viz._axes import (
    look as look_of,
)


def figure(**texts):
    fig = Figure(figsize=(3, 2))
    ax = fig.add_axes((0.2, 0.2, 0.6, 0.6))
    ax.plot([0, 1], [0, 1])
    for where, text in texts.items():
        ax.text(0.5, 0.5 if where == "middle" else 0.52, text)
    return fig


def test_look_finds_what_is_ugly(look):
    look(figure(middle="fine"))
    with pytest.raises(AssertionError, match="cut off"):
        look(figure(middle="far too long for a figure of this size"))
    with pytest.raises(AssertionError, match="lies on"):
        look(figure(middle="one", above="two"))
    with pytest.raises(AssertionError, match="not white"):
        look(Figure())
    with pytest.raises(AssertionError):
        look(None)


def test_every_public_name_is_a_plot():
    assert viz.__all__ == sorted(viz.__all__)
    assert all(name.startswith("plot_") and callable(getattr(viz, name)) for name in viz.__all__)


def test_headless_and_without_torch():
    code = (
        "import sys; from dare_sklearn import viz; "
        "print([m for m in ('torch', 'mne', 'moabb', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_notebooks_show_a_figure():
    fig = new_figure(2, 1)
    fig.subplots().plot([0, 1], [0, 1])
    assert fig._repr_png_().startswith(b"\x89PNG")


def test_categories_can_be_told_apart():
    looks = {tuple(look_of(i).values()) for i in range(70)}
    assert len(looks) == 70
    assert len(set(PALETTE)) == len(PALETTE)


def test_palette_is_told_apart_by_the_colour_blind():
    # red-green blindness (deuteranopia), after Vienot, Brettel and Mollon (1999)
    linear = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in PALETTE]) ** 2.2
    seen = (
        linear @ np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]).T
    )
    seen = np.clip(seen, 0, 1) ** (1 / 2.2)
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1)
    assert distance[np.triu_indices(len(PALETTE), 1)].min() > 0.12


@pytest.mark.parametrize("layout", ["constrained", None])
def test_legends_stand_beside_axes_where_there_is_room(layout):
    ax = Figure(layout=layout).subplots()
    ax.plot([0, 1], [0, 1], label="line")
    add_legend(ax)
    ax.figure.draw_without_rendering()
    legend, box = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert (legend.x0 > box.x1 - 1) == (layout is not None)
    assert ax.get_legend().get_frame_on() == (layout is None)


def test_words():
    assert spelled("balanced_accuracy") == "balanced accuracy"
    assert spelled("roc_auc_ovr") == spelled("auc") == "area under the ROC curve"
    assert spelled("neg_mean_squared_error") == "mean squared error (negative)"
    assert wrap("short") == "short"
    assert max(map(len, wrap("x" * 60).split("\n"))) == 26
    assert [p_text(p) for p in (0.0001, 0.0123, 1.0)] == ["< 0.001", "0.012", "1.000"]

"""How a figure is looked at without eyes: rendered, nothing cut off, no text on another."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def shown_texts(fig) -> list[Text]:
    """Texts that are drawn; ticks beyond the limits of their axis are not."""
    hidden = set()
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                drawn = ax.axison and axis.get_visible() and tick.get_visible()
                if not drawn or not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
    return [
        text
        for text in fig.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]


def check_look(fig) -> np.ndarray:
    """Fail where the figure is blank, or text is cut off or lies on other text."""
    assert isinstance(fig, Figure)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    renderer = canvas.get_renderer()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    inked = (image < 250).any(axis=-1).mean()
    assert 0.003 < inked < 0.9, f"{inked:.1%} of the pixels are not white"
    width, height = canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown_texts(fig)]
    assert boxes, "no text at all"
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text!r} is cut off: {box} on a canvas of {width} x {height}"
    for (text, box), (other, second) in combinations(boxes, 2):
        across = min(box.x1, second.x1) - max(box.x0, second.x0)
        along = min(box.y1, second.y1) - max(box.y0, second.y0)
        assert across < 1 or along < 1, f"{text!r} lies on {other!r}"
    return image


@pytest.fixture(autouse=True)
def defaults():
    """MOABB changes fonts and grids of all figures when it is imported, maybe by another test."""
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


@pytest.fixture
def look(defaults):
    """`check_look`; afterwards, pyplot knows no figure and no setting has changed."""
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    yield check_look
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.fixture
def own_axes():
    """Axes of a figure of the caller."""

    def make(n: int = 1, width: float = 6.0, height: float = 4.5):
        return Figure(figsize=(width, height), layout="constrained").subplots(1, n)

    return make

"""Fair comparisons of pipelines: the same folds, nested searches, costs, and statistics."""

from .compare import compare
from .curves import learning_curve, lost_electrodes
from .report import report
from .rivals import BraindecodeClassifier, rival
from .statistics import observations, pairwise, summarize

__all__ = [
    "BraindecodeClassifier", "compare", "learning_curve", "lost_electrodes", "observations",
    "pairwise", "report", "rival", "summarize",
]  # fmt: skip

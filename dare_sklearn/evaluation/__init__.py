"""Fair comparisons of pipelines: the same folds, nested searches, costs, and statistics."""

from .compare import compare
from .curves import learning_curve, lost_electrodes
from .intervals import observations, summarize
from .people import average_windows
from .report import report
from .rivals import BraindecodeClassifier, deep_pipelines, rival
from .statistics import combine_datasets, corrected_ttest, pairwise

__all__ = [
    "BraindecodeClassifier", "average_windows", "combine_datasets", "compare", "corrected_ttest",
    "deep_pipelines", "learning_curve", "lost_electrodes", "observations", "pairwise", "report",
    "rival", "summarize",
]  # fmt: skip

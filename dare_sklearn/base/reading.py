"""One linear reading of several blocks of features, whose weights are chosen by cross-validation.

Each block is standardised and gives a linear kernel of mean diagonal 1. Kernel ridge regression on
a weighted sum of them has its held-out errors in closed form, so that the weights of the blocks and
the penalty are chosen on the training epochs for the price of a few eigendecompositions. What is
kept in the end are coefficients of features, not epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.utils.validation import check_is_fitted

PENALTIES = tuple(10.0 ** np.arange(-3, 3.25, 0.5))
N_FOLDS = 10
# Weights are chosen on so many epochs at most; eigendecompositions of more take minutes.
N_CHOICE = 1000


class _KernelReading(BaseEstimator):
    """Base of `KernelClassifier` and `KernelRegressor`."""

    def __init__(self, *, steps: int = 3, penalties=PENALTIES, random_state=0) -> None:
        self.steps = steps
        self.penalties = penalties
        self.random_state = random_state

    def _fit(
        self,
        blocks: Mapping[str, np.ndarray],
        targets: np.ndarray,
        weight: np.ndarray,
        groups: np.ndarray | None,
        strata: np.ndarray | None,
    ) -> np.ndarray:
        """Fit coefficients; returns held-out predictions ``(n_epochs, n_outputs)``."""
        used = np.flatnonzero(weight > 0)
        scaled = {name: self._standardise(name, x, weight) for name, x in blocks.items()}
        kernels = np.stack([z[used] @ z[used].T for z in scaled.values()])
        targets, weight = targets[used], weight[used]
        groups = None if groups is None else groups[used]
        strata = None if strata is None else strata[used]
        chosen = self._choice(strata, groups, len(used))
        inner = [part if part is None else part[chosen] for part in (strata, groups)]
        parts = make_folds(len(chosen), *inner)
        few = kernels[:, chosen][:, :, chosen]
        results = []
        for mixture in lattice(len(kernels), self.steps):
            solver = KernelRidge(np.tensordot(mixture, few, 1), weight[chosen])
            for penalty in self.penalties:
                held_out = solver.held_out(targets[chosen], penalty, parts)
                error = np.average(
                    (targets[chosen] - held_out) ** 2, axis=0, weights=weight[chosen]
                )
                results.append((error.mean(), mixture, penalty))
        self.results_ = results
        self.error_, mixture, self.penalty_ = min(results, key=lambda result: result[0])
        self.weights_ = dict(zip(scaled, mixture.tolist(), strict=True))
        solver = KernelRidge(np.tensordot(mixture, kernels, 1), weight)
        dual, self.intercept_ = solver.solve(targets, self.penalty_)
        self.coef_ = {
            name: share * (z[used].T @ dual)
            for share, (name, z) in zip(mixture, scaled.items(), strict=True)
        }
        return used, solver.held_out(targets, self.penalty_, make_folds(len(used), strata, groups))

    def _standardise(self, name: str, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Features of weighted mean 0 and deviation 1, over the root of the kernel's diagonal."""
        x = np.asarray(x, dtype=np.float64)
        mean = np.average(x, axis=0, weights=weight)
        deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
        floor = 1e-10 * max(deviation.max(initial=0.0), 1e-300)
        scale = np.where(deviation > floor, deviation, np.inf)  # constant features say nothing
        n_used = max(int((deviation > floor).sum()), 1)
        self.scaling_[name] = mean, 1 / (scale * np.sqrt(n_used))
        return (x - mean) * self.scaling_[name][1]

    def _choice(
        self, strata: np.ndarray | None, groups: np.ndarray | None, n_epochs: int
    ) -> np.ndarray:
        """Epochs that weights are chosen on."""
        if n_epochs <= N_CHOICE:
            return np.arange(n_epochs)
        rng = np.random.default_rng(self.random_state)
        return np.sort(rng.choice(n_epochs, N_CHOICE, replace=False))

    def _outputs(self, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
        """Predictions ``(n_epochs, n_outputs)``."""
        check_is_fitted(self, "coef_")
        out = self.intercept_
        for name, coef in self.coef_.items():
            mean, scale = self.scaling_[name]
            out = out + ((np.asarray(blocks[name], dtype=np.float64) - mean) * scale) @ coef
        return out


class KernelClassifier(ClassifierMixin, _KernelReading):
    def fit(self, blocks, y, sample_weight=None, groups=None):
        self.scaling_ = {}
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight, float)
        targets = 2.0 * (codes[:, None] == np.arange(len(self.classes_))) - 1
        used, held_out = self._fit(blocks, targets, weight, groups, codes)
        self.temperature_ = calibrate(held_out, codes[used], weight[used])
        return self

    def predict_proba(self, blocks):
        slope, offset = self.temperature_
        return softmax(slope * self._outputs(blocks) + offset, axis=1)

    def predict(self, blocks):
        return self.classes_[self.predict_proba(blocks).argmax(axis=1)]


class KernelRegressor(RegressorMixin, _KernelReading):
    def fit(self, blocks, y, sample_weight=None, groups=None):
        self.scaling_ = {}
        y = np.asarray(y, dtype=np.float64)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, float)
        self._fit(blocks, y[:, None], weight, groups, None)
        return self

    def predict(self, blocks):
        return self._outputs(blocks)[:, 0]


class KernelRidge:
    """Weighted kernel ridge regression with an intercept, for many penalties.

    Parameters
    ----------
    kernel : ndarray, shape (n, n)
    weight : ndarray, shape (n,)
        Positive weight of each squared error.
    """

    def __init__(self, kernel: np.ndarray, weight: np.ndarray) -> None:
        root = np.sqrt(weight)
        self.values, vectors = eigh(kernel * root * root[:, None], driver="evd")
        self.vectors = vectors * root[:, None]

    def _inverse(self, targets: np.ndarray, penalty: float) -> tuple:
        shrunk = self.vectors / (np.maximum(self.values, 0) + penalty)
        ones = shrunk @ self.vectors.sum(axis=0)
        total = ones.sum()
        dual = shrunk @ (self.vectors.T @ targets)
        intercept = ones @ targets / total
        return shrunk, ones, total, dual - np.outer(ones, intercept), intercept

    def solve(self, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Dual coefficients ``(n, n_outputs)`` and intercepts ``(n_outputs,)``."""
        *_, dual, intercept = self._inverse(targets, penalty)
        return dual, intercept

    def held_out(self, targets: np.ndarray, penalty: float, folds: list[np.ndarray]) -> np.ndarray:
        """What a fit without a fold predicts of it, for every fold, ``(n, n_outputs)``.

        The residuals of a fold are those of the full fit, through the inverse of its block of the
        (bordered) inverse kernel: no second fit is needed [1]_.

        References
        ----------
        .. [1] Cawley (2006). Leave-one-out cross-validation based model selection criteria for
           weighted LS-SVMs. IJCNN.
        """
        shrunk, ones, total, dual, _ = self._inverse(targets, penalty)
        residual = np.empty_like(dual)
        for fold in folds:
            block = shrunk[fold] @ self.vectors[fold].T - np.outer(ones[fold], ones[fold]) / total
            residual[fold] = np.linalg.solve(block, dual[fold])
        return targets - residual


def make_folds(
    n_epochs: int, strata: np.ndarray | None, groups: np.ndarray | None
) -> list[np.ndarray]:
    """Test epochs of each fold: whole groups, or else neighbours in time, of every class alike."""
    rows = np.zeros(n_epochs)
    if groups is not None and (n_groups := len(np.unique(groups))) > 1:
        splits = GroupKFold(min(n_groups, N_FOLDS)).split(rows, groups=groups)
    elif strata is not None and np.bincount(strata).max() >= 2:
        n_folds = min(N_FOLDS, np.bincount(strata).max())
        splits = StratifiedKFold(n_folds).split(rows, strata)
    else:
        splits = KFold(min(N_FOLDS, n_epochs)).split(rows)
    return [test for _, test in splits]


def lattice(n_blocks: int, steps: int) -> list[np.ndarray]:
    """Weights of blocks in steps of ``1 / steps``, and equal ones."""
    picks = combinations_with_replacement(range(n_blocks), steps)
    found = [np.bincount(pick, minlength=n_blocks) / steps for pick in picks]
    return [*found, np.full(n_blocks, 1 / n_blocks)]


def calibrate(
    scores: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Slope and offsets with which the softmax of held-out scores has the least log loss."""
    n_classes = scores.shape[1]
    hot = codes[:, None] == np.arange(n_classes)
    weight = weight / weight.sum()

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        slope, offset = np.exp(theta[0]), theta[1:]
        log_p = log_softmax(slope * scores + offset, axis=1)
        error = weight[:, None] * (np.exp(log_p) - hot)
        value = -(weight @ log_p[hot]) + 0.5e-3 * (theta**2).sum()
        grad = np.r_[slope * (error * scores).sum(), error.sum(axis=0)] + 1e-3 * theta
        return value, grad

    theta = minimize(loss, np.zeros(n_classes + 1), jac=True, method="L-BFGS-B").x
    return float(np.exp(theta[0])), theta[1:]

"""One linear reading of several blocks of features, weighed by held-out predictions or not at all.

Every block is standardised and gives a linear kernel of mean diagonal 1; features of a block
``(n_epochs, n_sets, n_features)`` keep their proportions in each set. Kernel ridge regression
has its held-out predictions in closed form, for every penalty from one eigendecomposition.
Non-negative least squares then weighs the predictions of all blocks and penalties by what they say
of epochs that they have not seen (stacking [1]_). Few epochs do not suffice for that: the fewer
there are, the more counts a Gaussian process of the sum of all kernels, whose amounts are those
that make the targets most probable (evidence [2]_). What is kept in the end are the coefficients of
features, not epochs.

References
----------
.. [1] Breiman (1996). Stacked regressions. Machine Learning 24.
.. [2] Rasmussen, Williams (2006). Gaussian Processes for Machine Learning, chapter 5. MIT Press.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.optimize import minimize, nnls
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.utils import gen_batches
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.extmath import svd_flip

# Relative to a kernel of mean diagonal 1: from nearly none to nearly the mean target.
PENALTIES = tuple(10.0 ** np.arange(-3, 3.25, 0.5))
N_FOLDS = 10
# Weights are chosen on so many epochs at most: an eigendecomposition takes seconds then.
N_CHOICE = 1500
LEAST_SHARE = 0.05  # of the sum of all kernels; a smaller one is not worth its time
PRECISION = 0.3  # of the prior of logarithms of amounts: a standard deviation of a factor of 6
COLUMNS_AT_ONCE = 2048
NUMBERS_AT_ONCE = 2**23  # 64 MB in double precision: of many epochs, fewer columns
EVERY = slice(None)

Rows = Any  # a block of features: an array, or `features.FileRows`
# Of shape ``(n_epochs, n_features)`` or ``(n_epochs, n_sets, n_features)``, by name.
Blocks = Mapping[str, Rows]


class _Blocks(BaseEstimator):
    """Linear outputs of standardised blocks.

    By block, ``scaling_`` holds the means and factors of its features, and ``coef_`` their
    coefficients ``(n_features, n_outputs)``.
    """

    def _columns(
        self, name: str, x: Rows, used: np.ndarray | slice = EVERY
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Standardised features, some at a time: the whole of a block may not fit in float64."""
        mean, scale = self.scaling_[name]
        x = _flat(x)
        for part in _some_columns(x):
            z = x[:, part][used].astype(np.float64)
            z -= mean[part]
            z *= scale[part]
            yield part, z

    def _kernel(self, name: str, x: Rows, used: np.ndarray) -> np.ndarray:
        kernel = np.zeros((len(used), len(used)))
        for _, z in self._columns(name, x, used):
            kernel += z @ z.T
        return kernel

    def _outputs(self, blocks: Blocks) -> np.ndarray:
        """Predictions ``(n_epochs, n_outputs)``."""
        n_epochs = len(next(iter(blocks.values())))
        out = np.tile(self.intercept_, (n_epochs, 1))
        for name, coef in self.coef_.items():
            for part, z in self._columns(name, blocks[name]) if coef.any() else ():
                out += z @ coef[part]
        return out


class KernelComponents(_Blocks):
    """Principal components of several blocks of features, each of which weighs the same.

    They are learned from 1,500 epochs at most, which are drawn at random.
    """

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    def fit(self, blocks: Blocks) -> Self:
        n_epochs = len(next(iter(blocks.values())))
        some = some_of(np.arange(n_epochs), N_CHOICE)
        self.scaling_, self.coef_ = {}, {}
        self.intercept_ = np.zeros(self.n_components)
        kernel = np.zeros((len(some), len(some)))
        for name, x in blocks.items():
            # each feature alone: without labels, what stands out is often an artefact
            self.scaling_[name] = scaling(_flat(x), np.ones(n_epochs))
            kernel += self._kernel(name, x, some)
        last = len(some) - 1
        values, vectors = eigh(kernel, subset_by_index=[last + 1 - self.n_components, last])
        vectors, _ = svd_flip(vectors[:, ::-1], None)
        values = values[::-1]
        kept = values > 1e-9 * max(values[0], 1e-300)  # others are rounding: 0 for all epochs
        dual = np.where(kept, vectors, 0) / np.sqrt(np.where(kept, values, 1))
        for name, x in blocks.items():
            n_features = len(self.scaling_[name][0])
            self.coef_[name] = np.empty((n_features, self.n_components), np.float32)
            for part, z in self._columns(name, x, some):
                self.coef_[name][part] = z.T @ dual
        return self

    def transform(self, blocks: Blocks) -> np.ndarray:
        """Components ``(n_epochs, n_components)``."""
        return self._outputs(blocks)


class _KernelReading(_Blocks):
    """What `KernelClassifier` and `KernelRegressor` share.

    ``weights_`` says what each block contributes: the sum of its shares in the decision.
    """

    def _fit(
        self,
        blocks: Blocks,
        targets: np.ndarray,
        scale_weight: np.ndarray,
        weight: np.ndarray,
        groups: np.ndarray | None,
        strata: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Learn coefficients of targets ``(n_epochs, n_outputs)``.

        `scale_weight` weighs epochs in the scaling of the features, `weight` in the squared error;
        folds keep `groups` whole and spread `strata` evenly. Gives the epochs on which blocks and
        penalties were weighed, and what the reading says of them without having seen them.
        """
        used = np.flatnonzero(weight > 0)
        n_outputs = targets.shape[1]
        self.scaling_, self.coef_ = {}, {}
        self.intercept_ = np.zeros(n_outputs)
        self.weights_ = dict.fromkeys(blocks, 0.0)
        if len(used) < 2:  # nothing to compare: its own target is all that is known
            return used, targets[used]
        some = some_of(used, N_CHOICE)
        folds = make_folds(
            len(some), *(part if part is None else part[some] for part in (strata, groups))
        )
        root = np.sqrt(weight[some])[:, None]
        share_of_sum = 0.3 / (1 + max(weight[used].sum(), len(used)) / 128)
        few = share_of_sum >= LEAST_SHARE and len(some) == len(used)  # fewer than 640 epochs
        solvers, said, kernels = {}, [], {}
        for name, x in blocks.items():
            self.scaling_[name] = scaling(x, scale_weight)
            kernel = self._kernel(name, x, some)
            solver = KernelRidge(kernel, weight[some])
            said += [solver.held_out(targets[some], penalty, folds) for penalty in PENALTIES]
            if len(some) == len(used):
                solvers[name] = solver.solve
            if few:
                kernels[name] = kernel
        spread = np.average((targets[some] ** 2).mean(axis=1), weights=weight[some])
        shares = stack(
            np.stack([(root * held_out).ravel() for held_out in said], axis=1),
            (root * targets[some]).ravel(),
            # indicators of classes sum to a constant: they are one output fewer
            np.sqrt(spread * n_outputs / max(n_outputs - 1, 1)),
        )
        amounts, dual_of_sum, held_out = {}, 0.0, 0.0
        if few:
            shares *= 1 - share_of_sum
            amounts, noise = evidence(kernels, targets[some], weight[some])
            whole = KernelRidge(
                sum(amounts[name] * kernels[name] for name in kernels), weight[some]
            )
            dual_of_sum, self.intercept_ = (
                share_of_sum * part for part in whole.solve(targets[some], noise)
            )
            held_out = share_of_sum * whole.held_out(targets[some], noise, folds)
        held_out += sum(share * part for share, part in zip(shares, said, strict=True))
        by_block = shares.reshape(len(blocks), len(PENALTIES))
        for (name, x), row in zip(blocks.items(), by_block, strict=True):
            parts = [(share, p) for share, p in zip(row, PENALTIES, strict=True) if share > 0]
            self.coef_[name] = np.zeros((len(self.scaling_[name][0]), n_outputs))
            if not parts and not few:
                continue
            # one block at a time: the kernels of many epochs do not fit into memory together
            solver = solvers.get(name) or partial(solve, self._kernel(name, x, used), weight[used])
            dual = np.zeros((len(used), n_outputs)) + amounts.get(name, 0.0) * dual_of_sum
            for share, penalty in parts:
                alpha, intercept = solver(targets[used], penalty)
                dual += share * alpha
                self.intercept_ += share * intercept
            for part, z in self._columns(name, x, used):
                self.coef_[name][part] = z.T @ dual
            of_sum = share_of_sum * amounts[name] / sum(amounts.values()) if few else 0.0
            self.weights_[name] = float(sum(share for share, _ in parts) + of_sum)
        return some, held_out


class KernelClassifier(ClassifierMixin, _KernelReading):
    """Classify by several blocks of features.

    `class_weight` are weights of the classes in the decision ("balanced", a dictionary or None);
    the scaling of the features does not depend on them.
    """

    def __init__(self, *, class_weight: dict | str | None = None) -> None:
        self.class_weight = class_weight

    def fit(self, blocks: Blocks, y, sample_weight=None, groups=None) -> Self:
        """Fit to blocks of features; an epoch of `sample_weight` 2 counts as two.

        Folds, in which blocks and penalties are weighed, keep `groups` whole; without them, folds
        are neighbours in time.
        """
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = np.ones(len(codes)) if sample_weight is None else np.asarray(sample_weight, float)
        decision = weight * compute_sample_weight(self.class_weight, y)
        targets = 2.0 * (codes[:, None] == np.arange(len(self.classes_))) - 1
        some, held_out = self._fit(blocks, targets, weight, decision, groups, codes)
        self.slope_, self.offset_ = calibrate(held_out, codes[some], decision[some])
        return self

    def decision_function(self, blocks: Blocks) -> np.ndarray:
        """Logits: ``(n_epochs,)`` for two classes (positive: the second), else one per class."""
        logits = self.slope_ * self._outputs(blocks) + self.offset_
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, blocks: Blocks) -> np.ndarray:
        """Probabilities ``(n_epochs, n_classes)``, calibrated on held-out epochs."""
        return softmax(self.slope_ * self._outputs(blocks) + self.offset_, axis=1)

    def predict(self, blocks: Blocks) -> np.ndarray:
        """Labels, ``(n_epochs,)``."""
        return self.classes_[self.predict_proba(blocks).argmax(axis=1)]


class KernelRegressor(RegressorMixin, _KernelReading):
    """Predict a number by several blocks of features; see `KernelClassifier`."""

    def fit(self, blocks: Blocks, y, sample_weight=None, groups=None) -> Self:
        y = np.asarray(y, dtype=np.float64)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, float)
        self.mean_ = np.average(y, weights=weight)
        self._fit(blocks, (y - self.mean_)[:, None], weight, weight, groups, None)
        return self

    def predict(self, blocks: Blocks) -> np.ndarray:
        """Predicted numbers, ``(n_epochs,)``."""
        return self._outputs(blocks)[:, 0] + self.mean_


class KernelRidge:
    """Kernel ridge regression with an intercept and positive weights, for many penalties."""

    def __init__(self, kernel: np.ndarray, weight: np.ndarray) -> None:
        root = np.sqrt(weight)
        self.values, vectors = eigh(kernel * root * root[:, None], driver="evd")
        self.vectors = vectors * root[:, None]

    def _inverse(self, targets: np.ndarray, penalty: float) -> tuple:
        shrunk = self.vectors / (np.maximum(self.values, 0) + penalty)
        ones = shrunk @ self.vectors.sum(axis=0)
        total = ones.sum()
        intercept = ones @ targets / total
        dual = shrunk @ (self.vectors.T @ targets) - np.outer(ones, intercept)
        return shrunk, ones, total, dual, intercept

    def solve(self, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Dual coefficients ``(n, n_outputs)`` and intercepts ``(n_outputs,)``."""
        *_, dual, intercept = self._inverse(targets, penalty)
        return dual, intercept

    def held_out(
        self, targets: np.ndarray, penalty: float, folds: Sequence[np.ndarray]
    ) -> np.ndarray:
        """What a fit without a fold predicts of it, for every fold, ``(n, n_outputs)``.

        The residuals of a fold follow from the full fit and the fold's block of the (bordered)
        inverse kernel (Cawley, 2006): no second fit is needed.
        """
        shrunk, ones, total, dual, _ = self._inverse(targets, penalty)
        residual = np.empty_like(dual)
        for fold in folds:
            block = shrunk[fold] @ self.vectors[fold].T - np.outer(ones[fold], ones[fold]) / total
            residual[fold] = np.linalg.solve(block, dual[fold])
        return targets - residual


def some_of(epochs: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """At most so many of these epochs, drawn at random, in their order."""
    if len(epochs) <= most:
        return epochs
    return np.sort(np.random.default_rng(seed).choice(epochs, most, replace=False))


def solve(
    kernel: np.ndarray, weight: np.ndarray, targets: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """What `KernelRidge.solve` gives, for one penalty and in a tenth of the time."""
    system = kernel.astype(np.float64)
    system[np.diag_indices_from(system)] += penalty / weight
    right = np.column_stack([targets, np.ones(len(targets))])
    # in the order of LAPACK, which would copy it
    solved = cho_solve(cho_factor(system.T, lower=True, overwrite_a=True), right)
    dual, ones = solved[:, :-1], solved[:, -1]
    intercept = dual.sum(axis=0) / ones.sum()
    return dual - np.outer(ones, intercept), intercept


def stack(predictions: np.ndarray, targets: np.ndarray, spread: float) -> np.ndarray:
    """Non-negative shares of predictions ``(n_values, n_predictions)``, by L1-penalised squares.

    The penalty is one standard error of what a prediction without knowledge says of the targets
    (of standard deviation `spread`): blocks that would be let in by chance, and cost most where
    epochs are few, stay out. If nothing exceeds it, all that vary count alike: with a handful of
    epochs that is better than the choice that happens to fit them.
    """
    varies = np.linalg.norm(predictions, axis=0) > 1e-9 * np.linalg.norm(targets)
    predictions = np.where(varies, predictions, 0.0)  # where nothing varies, that is rounding
    products = predictions.T @ predictions
    scales = np.sqrt(np.diag(products))
    # the normal equations as a least squares problem, so that a linear term can join them
    ridge = 1e-9 * max(np.trace(products) / len(products), 1e-300)
    root = np.linalg.cholesky(products + ridge * np.eye(len(products))).T
    wanted = predictions.T @ targets - spread * scales
    shares, _ = nnls(root, np.linalg.solve(root.T, wanted), maxiter=100_000)
    if not shares.any() and varies.any():
        shares[varies] = 1 / scales[varies]
        mean = predictions @ shares
        least = 0.01 * spread * np.sqrt(len(mean))
        shares *= max(mean @ targets / np.linalg.norm(mean), least) / np.linalg.norm(mean)
    return shares


def evidence(
    kernels: Mapping[str, np.ndarray], targets: np.ndarray, weight: np.ndarray
) -> tuple[dict[str, float], float]:
    """Amounts of the kernels, and of noise, under which a Gaussian process explains targets best.

    The mode of their posterior, with a log-normal prior around equal amounts that make up half of
    the targets. An epoch of weight 2 counts as two with the same values.
    """
    parts = [*kernels.values(), np.diag(1 / np.maximum(weight, 1e-9))]
    n_outputs = targets.shape[1]
    n_free = max(n_outputs - 1, 1)
    y = targets - np.average(targets, axis=0, weights=weight)
    y /= np.sqrt(np.average(y**2, axis=0, weights=weight).sum() / n_free) or 1.0
    middle = np.log([*[0.5 / len(kernels)] * len(kernels), 0.5])
    n_repeated = weight.sum() - len(y)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        amounts = np.exp(theta)
        total = sum(amount * part for amount, part in zip(amounts, parts, strict=True))
        inverse = np.linalg.inv(total)
        alpha = inverse @ y
        complexity = np.linalg.slogdet(total)[1] + n_repeated * theta[-1]
        slopes = [
            n_free * (inverse * part).sum() - (alpha * (part @ alpha)).sum() for part in parts
        ]
        gradient = amounts * slopes
        gradient[-1] += n_free * n_repeated
        value = (y * alpha).sum() + n_free * complexity + PRECISION * ((theta - middle) ** 2).sum()
        return value / 2, gradient / 2 + PRECISION * (theta - middle)

    bounds = [(-9.0, 4.0)] * len(parts)
    found = np.exp(minimize(loss, middle, jac=True, method="L-BFGS-B", bounds=bounds).x)
    return dict(zip(kernels, found, strict=False)), float(found[-1])


def scaling(x: Rows, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of features, and factors that give them a deviation of 1 and a kernel of diagonal 1.

    Those of a set have one factor, by the square mean of their deviations. Features that do not
    vary get the factor 0.
    """
    together, x = x.shape[2] if len(x.shape) == 3 else 1, _flat(x)
    weight = weight / weight.sum()
    mean, deviation = (np.empty(x.shape[1]) for _ in range(2))
    for part in _some_columns(x):
        columns = x[:, part].astype(np.float64)
        mean[part] = weight @ columns
        columns -= mean[part]
        deviation[part] = np.sqrt(weight @ np.square(columns, out=columns))
    varies = deviation > 1e-7 * np.abs(mean) + 1e-300
    if together > 1:
        square = (deviation.reshape(-1, together) ** 2).mean(axis=1)
        deviation = np.sqrt(square).repeat(together)
    scale = np.zeros(x.shape[1])
    scale[varies] = 1 / (deviation[varies] * np.sqrt(varies.sum()))
    return mean, scale


def scaled(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features whose kernel has a mean diagonal of 1; their means, and the factors."""
    mean, scale = scaling(x, weight)
    return (_flat(x) - mean.astype(np.float32)) * scale.astype(np.float32), mean, scale


def kernels(features: list[np.ndarray], weight: np.ndarray) -> list[np.ndarray]:
    """Linear kernels of mean diagonal 1."""
    return [(z @ z.T).astype(np.float64) for z, *_ in (scaled(x, weight) for x in features)]


def _some_columns(x: Rows) -> Iterator[slice]:
    n_epochs, n_columns = x.shape
    return gen_batches(n_columns, max(1, min(COLUMNS_AT_ONCE, NUMBERS_AT_ONCE // n_epochs)))


def make_folds(
    n_epochs: int, strata: np.ndarray | None, groups: np.ndarray | None
) -> list[np.ndarray]:
    """Test epochs of each fold: whole groups, or else neighbours in time, of every class alike."""
    rows = np.zeros(n_epochs)
    if groups is not None and (n_groups := len(np.unique(groups))) > 1:
        splits = GroupKFold(min(n_groups, N_FOLDS)).split(rows, groups=groups)
    elif strata is not None and (n_folds := min(N_FOLDS, np.bincount(strata).min())) > 1:
        splits = StratifiedKFold(n_folds).split(rows, strata)
    else:
        splits = KFold(min(N_FOLDS, n_epochs)).split(rows)
    return [test for _, test in splits]


def calibrate(
    scores: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Slope and offsets with which the softmax of held-out scores has the least log loss."""
    n_classes = scores.shape[1]
    hot = codes[:, None] == np.arange(n_classes)
    # Platt's targets: few epochs, however well they are told apart, do not make certain
    unsure = 1 / (weight @ hot + 2)[codes][:, None]
    soft = np.where(hot, 1 - unsure, unsure / (n_classes - 1))
    weight = (weight / weight.sum())[:, None]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        slope, offset = np.exp(theta[0]), theta[1:]
        log_p = log_softmax(slope * scores + offset, axis=1)
        error = weight * (np.exp(log_p) - soft)
        # a little of a prior, which fixes what only differs by a constant
        value = -(weight * soft * log_p).sum() + 0.5e-3 * (theta**2).sum()
        gradient = np.r_[slope * (error * scores).sum(), error.sum(axis=0)] + 1e-3 * theta
        return value, gradient

    theta = minimize(loss, np.zeros(n_classes + 1), jac=True, method="L-BFGS-B").x
    return float(np.exp(theta[0])), theta[1:]


def _flat(x: Rows) -> Rows:
    return x.reshape(len(x), -1)

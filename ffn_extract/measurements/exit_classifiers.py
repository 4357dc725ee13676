"""Early exit by a logistic regression per layer: the baselines of section 6.2 and appendix A.5."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
GRID = (0.001, 0.01, 0.1)
"""Values of C, the inverse of the regularisation's strength, from the strongest on."""
FOLDS = 8
TOLERANCE = 0.01  # liblinear's own for lasso
MOST_ROUNDS = 1_000


@dataclass(frozen=True)
class Fitted:
    """Which tested examples exit, shape (n,); what was chosen; fits that ended too early.

    `c` and `threshold` are NaN for a layer at which there was too little to fit.
    """

    fires: Bools
    c: float = float("nan")
    threshold: float = float("nan")
    unfinished: int = 0


def fit_and_test(
    fitted: Floats, labels: Bools, held: Floats, held_labels: Bools, tested: Floats, *, lasso: bool
) -> Fitted:
    """Fit a classifier, choose its threshold on held-out examples, and test it.

    Features are standardised by those fitted on. C is that of `GRID` with the best balanced
    accuracy over 8 folds (of equal ones the smallest), with classes weighed by the inverse of their
    frequency. The threshold is that with the highest F1 on `held` (of equal ones the highest). With
    fewer than 8 fitted examples of a class, or no positive one held out, nothing exits.

    Parameters
    ----------
    fitted, held, tested
        Features, shape (n, d) each.
    labels, held_labels
        Whether the example saturates at the layer, shape (n,) each.
    """
    from threadpoolctl import threadpool_limits

    none = Fitted(np.zeros(len(tested), dtype=np.bool_))
    counts = int(labels.sum()), int((~labels).sum())
    if min(counts) < FOLDS or not held_labels.any():
        return none
    mean, spread = fitted.mean(axis=0), fitted.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x, of_held, of_tested = ((one - mean) / spread for one in (fitted, held, tested))
    with threadpool_limits(1):  # more threads would change last bits
        c, unfinished = _chosen(x, labels, lasso)
        model, ended = _fit(x, labels, c, lasso)
        threshold = best_threshold(model.decision_function(of_held), held_labels)
        fires = np.asarray(model.decision_function(of_tested) >= threshold)
    return Fitted(fires, c, threshold, unfinished + (not ended))


def best_threshold(scores: Floats, labels: Bools) -> float:
    """The score from which on examples count as positive, so that F1 is highest.

    Of equal ones the highest score.

    Examples
    --------
    >>> best_threshold(np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, True, False]))
    1.0
    """
    order = np.argsort(-scores, kind="stable")
    ordered, right = scores[order], np.cumsum(labels[order])
    last = np.append(ordered[1:] != ordered[:-1], True)
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + right[-1])
    return float(ordered[np.where(last, f1, -1.0).argmax()])


def _chosen(x: Floats, labels: Bools, lasso: bool) -> tuple[float, int]:
    """The best C over the folds, and how many fits ended too early."""
    from sklearn.model_selection import StratifiedKFold

    folds = list(StratifiedKFold(FOLDS).split(x, labels))
    scores, unfinished = [], 0
    for c in GRID:
        own = 0.0
        for fit, test in folds:
            model, ended = _fit(x[fit], labels[fit], c, lasso)
            unfinished += not ended
            found, truth = model.predict(x[test]), labels[test]
            own += found[truth].mean() + (~found[~truth]).mean()
        scores.append(own)
    return GRID[int(np.argmax(scores))], unfinished


def _fit(x: Floats, labels: Bools, c: float, lasso: bool) -> tuple[Any, bool]:
    """A logistic regression, and whether it came to an end."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        l1_ratio=1 if lasso else 0, C=c, solver="liblinear", class_weight="balanced",
        tol=TOLERANCE, max_iter=MOST_ROUNDS, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge is counted
        model.fit(x, labels)
    return model, int(np.max(model.n_iter_)) < MOST_ROUNDS

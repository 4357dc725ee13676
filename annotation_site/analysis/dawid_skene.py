"""Competence of annotators: Dawid and Skene's model of whether an entry is in a pattern.

It compares people with a latent majority, the answer that all of them together make likely, and
not with a truth. It rejects nobody. The definitions are in ``docs/measures.md``.

References
----------
Dawid and Skene (1979), Maximum likelihood estimation of observer error-rates using the EM
algorithm, https://doi.org/10.2307/2346806
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from annotation_site.analysis.strata import Floats

ROUNDS = 1_000
CHANGE = 1e-8
"""The fit ends after so many rounds, or when the log posterior changes by less, relative to it."""

_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Profiles:
    """Equal judgements counted once: who judged an entry, and how.

    Attributes
    ----------
    inside, outside
        1 where a person put the entries of a profile into a pattern, or did not; both 0 where the
        person did not judge them. Shape (profiles, people).
    counts
        Entries of each profile by list, shape (lists, profiles).
    """

    inside: sparse.csr_array
    outside: sparse.csr_array
    counts: sparse.csr_array


@dataclass(frozen=True, eq=False)
class Fit:
    """The fitted model, for each column of weights.

    Attributes
    ----------
    sensitivity, specificity
        Probability that a person puts an entry into a pattern that is in one by the latent
        majority, or leaves one out that is in none; shape (people, columns).
    share
        Share of entries in a pattern by the latent majority, shape (columns,).
    posterior
        Probability that the entries of a profile are in a pattern, shape (profiles, columns).
    log_posterior
        Of the parameters, shape (columns,).
    rounds
        How many the last column took.
    """

    sensitivity: Floats
    specificity: Floats
    share: Floats
    posterior: Floats
    log_posterior: Floats
    rounds: int


def majority(profiles: Profiles) -> Floats:
    """The start of a fit: 1 where most people put an entry in, 0 where most do not, 1/2 on a tie.

    Returns
    -------
    array
        Shape (profiles,).
    """
    more = profiles.inside.sum(axis=1) - profiles.outside.sum(axis=1)
    return np.asarray((np.sign(more) + 1) / 2, dtype=np.float64)


def fit(
    profiles: Profiles,
    weights: Floats,
    start: Floats,
    *,
    rounds: int = ROUNDS,
    change: float = CHANGE,
) -> Fit:
    """Fit the model by expectation and maximisation.

    Parameters
    ----------
    profiles
        Judgements.
    weights
        How often each profile counts, shape (profiles, columns); each column is a fit of its own.
    start
        Probability that the entries of each profile are in a pattern, shape (profiles,).
    rounds, change
        When it ends: see `ROUNDS` and `CHANGE`.

    Returns
    -------
    Fit
        A maximum of the posterior under Beta(2, 1) priors on sensitivity and specificity and a
        uniform prior on the share, or where the last round led.
    """
    people, columns = profiles.inside.shape[1], weights.shape[1]
    posterior = np.repeat(start[:, None], columns, axis=1)
    rates = np.full((2, people, columns), np.nan)
    share, height = np.full(columns, np.nan), np.full(columns, -np.inf)
    running = np.arange(columns)
    done = 0
    while len(running) and done < rounds:
        done += 1
        some = weights[:, running]
        new, of_share = _maximise(profiles, some, posterior[:, running])
        posterior[:, running], log_posterior = _expect(profiles, some, new, of_share)
        rates[:, :, running], share[running] = new, of_share
        before, height[running] = height[running], log_posterior
        with np.errstate(invalid="ignore"):
            still = ~(np.abs(log_posterior - before) < change * np.abs(log_posterior))
        running = running[still]
    return Fit(rates[0], rates[1], share, posterior, height, done)


def _maximise(profiles: Profiles, weights: Floats, posterior: Floats) -> tuple[Floats, Floats]:
    """Sensitivity and specificity, shape (2, people, columns), and the share."""
    is_in, is_out = weights * posterior, weights * (1 - posterior)
    hit, missed = profiles.inside.T @ is_in, profiles.outside.T @ is_in
    left, false = profiles.outside.T @ is_out, profiles.inside.T @ is_out
    # The mode under Beta(2, 1): one more success.
    rates = np.stack([(hit + 1) / (hit + missed + 1), (left + 1) / (left + false + 1)])
    return rates, is_in.sum(axis=0) / weights.sum(axis=0)


def _expect(
    profiles: Profiles, weights: Floats, rates: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """The posterior of every profile, and the log posterior of the parameters."""
    sensitivity, specificity = rates
    is_in = profiles.inside @ _log(sensitivity) + profiles.outside @ _log(1 - sensitivity)
    is_out = profiles.outside @ _log(specificity) + profiles.inside @ _log(1 - specificity)
    is_in, is_out = is_in + _log(share), is_out + _log(1 - share)
    either = np.logaddexp(is_in, is_out)
    prior = _log(2 * sensitivity).sum(axis=0) + _log(2 * specificity).sum(axis=0)
    return np.exp(is_in - either), (weights * either).sum(axis=0) + prior


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, _TINY)))

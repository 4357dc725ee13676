"""Intervals of measures over pairs of people: the quick way gives what the plain way gives."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import agreement_tables, measure_agreement
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.intervals import drawn_weights
from tests.annotation_site.analysis.agreement_frames import random_labels

BY = [("model",), ("model", "kind"), ("model", "kind", "layer"), ("model", "category")]


def many_people() -> AnnotationFrames:
    """Forty lists, each with two or three of nine people."""
    return random_labels(40, 9, share=0.3, overlap=True)


def test_pairs_that_share_one_list_need_not_be_measured_anew() -> None:
    labels = many_people()
    categories = sorted(set(labels.members["category"]))
    agreement = measure_agreement(labels, min_tokens=2, categories=categories)
    quick = agreement_tables(agreement, by=BY, resamples=50)
    # Without terms the parts are added up and measured whole.
    for cell, statistics in agreement.statistics.items():
        dense = {
            name: part if isinstance(part, np.ndarray) else part.toarray()
            for name, part in statistics.parts.items()
        }
        agreement.statistics[cell] = replace(statistics, parts=dense, terms=None)
    plain = agreement_tables(agreement, by=BY, resamples=50)
    kappa = quick[0].set_index("measure").loc["cohen_kappa_concept"]
    assert kappa["low"] < kappa["value"] < kappa["high"]
    for one, other in zip(quick, plain, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-12)


def test_a_measure_has_the_same_interval_alone_as_beside_others() -> None:
    labels, name = many_people(), "cohen_kappa_concept"
    chosen = {name: AGREEMENT_MEASURES[name]}
    alone, beside = (
        agreement_tables(
            measure_agreement(labels, min_tokens=2, measures=measures), by=[()], resamples=50
        )[0].set_index("measure")
        for measures in (chosen, AGREEMENT_MEASURES)
    )
    pd.testing.assert_series_equal(alone.loc[name], beside.loc[name])


def test_draws_do_not_depend_on_the_size_of_blocks() -> None:
    sizes = [3, 8]
    rows = [np.arange(lists) for lists in sizes]
    small, large = (
        [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
        for drawn in (drawn_weights(rows, resamples=20, seed=1, block=block) for block in (6, 20))
    )
    for one, other, lists in zip(small, large, sizes, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.sum(axis=1) == pytest.approx(lists)

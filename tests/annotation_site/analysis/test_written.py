"""Each kind of number is written in one way: a true minus, no minus nought, separators."""

import pytest

from annotation_site.analysis import written


@pytest.mark.parametrize(
    ("write", "value", "said"),
    [
        (written.share, 0.4913, "49.1%"),
        (written.share, 0.0, "0.0%"),
        (written.share, None, "–"),
        (written.points, 0.296, "+29.6"),
        (written.points, -0.0654, "−6.5"),
        (written.points, -0.0001, "0.0"),
        (written.points, 0.0004, "0.0"),
        (written.points, None, "–"),
        (written.points_bound, 0.241, "24.1"),
        (written.points_bound, -0.012, "−1.2"),
        (written.decimal, 0.708, "0.71"),
        (written.decimal, -0.125, "−0.12"),
        (written.decimal, -0.001, "0.00"),
        (written.decimal, None, "–"),
        (written.count, 999, "999"),
        (written.count, 1440, "1,440"),
        (written.p_value, 0.0001, "< 0.001"),
        (written.p_value, 0.635, "0.635"),
    ],
)
def test_a_number_of_a_kind_is_written_in_one_way(write, value, said):
    assert write(value) == said

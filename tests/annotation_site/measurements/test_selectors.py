"""Tables are read from what was kept, and two of a kind are set side by side."""

from datetime import timedelta

import pytest

from annotation_site.errors import Invalid, NotFound
from annotation_site.measurements import forecasts, selectors
from annotation_site.measurements.files import ReadFile, files_store
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.selectors import Pair
from tests.annotation_site.factories import LanguageModelFactory, make_extraction, make_measurement

pytestmark = pytest.mark.django_db
State = Measurement.State


def with_tables(name="saturation", **tables):
    """A ready measurement with these tables, each as CSV."""
    one = make_measurement()
    Measurement.objects.filter(pk=one.pk).update(name=name)
    one.refresh_from_db()
    one.files.all().delete()
    one.about = {"tables": list(tables), "columns": {}}
    one.save()
    files_store(one, [ReadFile(f"{key}.csv", text.encode()) for key, text in tables.items()])
    return one


def test_cells_are_whole_numbers_numbers_words_or_nothing():
    one = with_tables(t='layer,group,share,n\n0,dominant,0.5,3\n1,"a, b",,\n')
    table = selectors.table(one, "t")
    assert table.columns == ["layer", "group", "share", "n"]
    assert table.rows == [[0, "dominant", 0.5, 3], [1, "a, b", None, None]]
    assert selectors.table(one, "t", offset=1, limit=1).rows == [[1, "a, b", None, None]]
    assert selectors.table(one, "t", offset=1, limit=1).count == 2


def test_a_column_with_a_word_is_one_of_words():
    one = with_tables(t="layers,x\nall,1\n3,nan\n")
    assert selectors.table(one, "t").rows[1][0] == "3"


@pytest.mark.parametrize("name", ["other", "README", "../saturation", ""])
def test_another_table_is_not_found(name):
    with pytest.raises(NotFound):
        selectors.table(make_measurement(), name)


def test_two_of_a_kind_are_joined_on_the_columns_that_tell_rows_apart():
    first = with_tables(t="weights,layer,share,n\ntrained,0,0.25,4\ntrained,1,0.5,8\n")
    second = with_tables(
        t="weights,layer,share,n\ntrained,0,0.5,5\ntrained,2,,1\n", more="layer,x\n0,1\n"
    )
    (joined,) = selectors.side_by_side(first, second)
    assert (joined.keys, joined.values) == (["weights", "layer"], ["share", "n"])
    assert joined.rows == [
        (["trained", 0], [Pair(0.25, 0.5), Pair(4, 5)]),
        (["trained", 1], [Pair(0.5, None), Pair(8, None)]),
        (["trained", 2], [Pair(None, None), Pair(None, 1)]),
    ]
    assert [pair.difference for pair in joined.rows[0][1]] == [0.25, 1]
    assert [pair.difference for pair in joined.rows[1][1]] == [None, None]


def test_rows_that_nothing_tells_apart_are_joined_by_their_place():
    first, second = (with_tables(t=f"x,y\n1,a\n1,{word}\n") for word in ("a", "b"))
    (joined,) = selectors.side_by_side(first, second)
    assert (joined.keys, joined.values) == ([], ["x", "y"])
    assert joined.rows[1] == ([], [Pair(1, 1), Pair("a", "b")])
    assert joined.rows[1][1][1].difference is None


def test_two_kinds_and_unfinished_ones_are_not_set_side_by_side():
    ready = make_measurement()
    with pytest.raises(Invalid, match="of one kind"):
        selectors.side_by_side(ready, with_tables("promotion", t="a\n1\n"))
    with pytest.raises(Invalid, match="must be ready"):
        selectors.side_by_side(ready, make_measurement(state=State.QUEUED))


def test_lists_of_measurements_take_one_query(django_assert_num_queries):
    model = LanguageModelFactory()
    for _ in range(3):
        make_measurement(model)
    make_measurement()
    with django_assert_num_queries(1):
        found = list(selectors.measurements(model=model))
        assert {str(one.model) for one in found} == {model.name}
        assert {one.requested_by for one in found} == {None}
    assert len(found) == 3
    assert selectors.measurements(name="norm").count() == 0
    assert selectors.measurements(state=State.READY).count() == 4


def test_a_model_can_be_measured_once_it_has_a_ready_extraction():
    LanguageModelFactory()
    ready = make_extraction(layers=1, per_layer=1, kinds=("value",))
    assert list(selectors.measurable_models()) == [ready.model]


def test_steps_follow_the_run():
    one = make_measurement(state=State.RUNNING)
    assert [s.state for s in selectors.measurement_steps(one)][:2] == ["running", "waiting"]
    one.step, one.step_done, one.step_total = "reading", 2, 9
    steps = {step.key: step for step in selectors.measurement_steps(one)}
    assert "control" not in steps
    assert (steps["model"].state, steps["reading"].state, steps["tables"].state) == (
        "done", "running", "waiting",
    )  # fmt: skip
    assert (steps["reading"].done, steps["reading"].total) == (2, 9)
    one.state = State.FAILED
    assert {step.key: step.state for step in selectors.measurement_steps(one)}["reading"] == (
        "failed"
    )
    one.parameters["control"] = True
    assert "control" in {step.key for step in selectors.measurement_steps(one)}


def test_a_forecast_grows_with_the_examples_and_follows_this_sites_own_runs():
    model = make_extraction(layers=1, per_layer=1, kinds=("value",)).model
    model.n_layers, model.d_model, model.d_ff, model.vocab_size = 30, 576, 1536, 49_152

    def told(**options):
        return forecasts.measurement_forecast(name="saturation", model=model, options=options)

    few, many = told(examples=100), told(examples=2_000)
    assert many.estimate.seconds > 5 * few.estimate.seconds / 2
    assert many.estimate.memory_bytes >= few.estimate.memory_bytes > 600_000_000
    assert told(examples=100, control=True).estimate.seconds > few.estimate.seconds
    assert not few.measured
    done = make_measurement(expected_seconds=10)
    Measurement.objects.filter(pk=done.pk).update(
        started_at=done.created_at, finished_at=done.created_at + timedelta(seconds=30)
    )
    assert told(examples=100).measured
    assert told(examples=100).estimate.seconds == pytest.approx(3 * few.estimate.seconds)

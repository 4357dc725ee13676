"""Proxies go into an archive, are verified, and come back: a restored study has equal estimates."""

import csv
import io
import json
from dataclasses import replace

import pytest

from annotation_site.accounts.models import Role
from annotation_site.analysis.estimates.models import ADJUDICATED_ALONE
from annotation_site.analysis.estimates.proxies import proxies_of
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction
from annotation_site.errors import Invalid
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import TableSettings
from annotation_site.results.files.archive_proxies import FIELDS, PROXY_MEMBERS
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.snapshots import computation
from annotation_site.results.snapshots.computation import populations_of, table_request
from annotation_site.results.snapshots.services import snapshot_refresh_now
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.proxies import study_proxies
from annotation_site.results.tables.registry import TABLES
from annotation_site.verify import main, verify
from tests.annotation_site.archives import members, packed, repacked, stored
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    make_extraction,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
PROXIES, CENSUS = PROXY_MEMBERS


def proxies(study):
    """Two proxies of every value list, and one that was never computed."""
    values = []
    for item in study.items.filter(vector__kind="value").select_related("vector").order_by("pk"):
        values += [(item.pk, "letters", item.pk % 7 / 7), (item.pk, "norms", -1.5 * item.pk)]
    sizes = populations_of(study).sizes
    census = [
        (name, model, layer, size, mean)
        for name, mean in (("letters", 0.4), ("norms", -9.0))
        for (model, _, layer), size in sizes.items()
    ]
    titles = {"norms": "Norms, written out", "letters": "=Letters", "late": "Too late"}
    return proxies_of(titles, values, census, {"late": "It was stopped. Start it again."})


def judged() -> bytes:
    study = make_study(
        extraction=make_extraction(layers=2, per_layer=4, kinds=("value", "random")),
        lists_per_layer=3,
    )
    # Coverage falls with the list's number as its norm does, so that this proxy has a weight.
    for number, item in enumerate(study.items.order_by("-pk")):
        for row in item.assignments.filter(purpose="annotation").order_by("pk"):
            submit(row, answer(pattern(1, list(range(1, 5 + number * 2 % 23)))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "study_proxies", proxies)
        patch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
        )
        return packed(study)


@pytest.fixture(scope="module")
def data(store) -> bytes:
    return store(judged)


def restored(content: bytes) -> Study:
    by = UserFactory(role=Role.RESEARCHER)
    return study_restore(file=io.BytesIO(content), restored_by=by)


def estimates(content: bytes, name: str = "estimates") -> list[dict[str, object]]:
    return json.loads(members(content)[f"tables/{name}.json"])["rows"]


def with_cell(content: bytes, name: str, row: int, column: str, cell: str) -> bytes:
    header, *rows = csv.reader(io.StringIO(members(content)[name].decode(), newline=""))
    rows[row][header.index(column)] = cell
    written = io.StringIO()
    csv.writer(written).writerows([header, *rows])
    return repacked(content, **{name: written.getvalue().encode()})


def test_the_archive_has_the_proxies_and_verifies(data, tmp_path):
    assert verify(stored(tmp_path, data)).differences == []
    found = members(data)
    model = Extraction.objects.get().model.name
    assert found[CENSUS].decode().splitlines() == [
        "proxy,title,model,layer,vectors,mean,missing",
        *(f'norms,"Norms, written out",{model},{layer},16,-9.0,' for layer in (0, 1)),
        *(f"letters,'=Letters,{model},{layer},16,0.4," for layer in (0, 1)),
        "late,Too late,,,,,It was stopped. Start it again.",
    ]
    header, *rows = found[PROXIES].decode().splitlines()
    assert header == "list,proxy,value"
    assert [row.split(",")[1] for row in rows] == ["norms"] * 6 + ["letters"] * 6
    assert found["labels/fields.md"].decode().endswith(FIELDS)
    assert PROXIES in found["README.md"].decode()


def test_its_tables_have_the_classical_estimate_then_each_proxy(data):
    rows = estimates(data)
    assert list(dict.fromkeys(row["proxy"] for row in rows)) == ["", "norms", "letters", "late"]
    whole = [row for row in rows if row["layer_from"] is None and row["measure"] == "coverage"]
    assert [row["value"] is not None for row in whole] == [True, True, True, False]
    assert "It was stopped. Start it again" in whole[-1]["warning"]
    text = members(data)["methods.md"].decode()
    assert "annotated lists and the proxy letters, which is known of every vector" in text
    assert "Cassel" in text
    assert "Cassel" in members(data)["references.bib"].decode()


def test_a_restored_study_gives_equal_estimates_and_the_same_archive(data):
    study = restored(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
        )
        again = packed(study)
    for name in ("estimates", "estimate_differences"):
        assert estimates(again, name) == estimates(data, name)
    one, other = members(data), members(again)
    assert [other[name] for name in PROXY_MEMBERS] == [one[name] for name in PROXY_MEMBERS]
    assert other["methods.md"] == one["methods.md"]
    shown = snapshot_refresh_now(study=study).tables["estimates"]
    names = [name for name, _ in shown["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in shown["rows"]]
    for row, other in zip(rows, estimates(data), strict=True):
        assert row == pytest.approx(other)


def test_a_filter_of_layers_estimates_these_alone(data):
    study = restored(data)
    answers = annotations_of(study)
    request, _ = table_request(study, answers, Filters(study.min_tokens, layer_from=1))
    table = TABLES["estimates"](request)
    whole = table[table["layer_from"].isna() & (table["measure"] == "coverage")]
    assert whole["vectors"].tolist() == [16] * 4
    assert whole["lists"].tolist() == [3] * 4


def test_adjudicated_lists_alone_are_no_sample_to_estimate_from(data):
    study = restored(data)
    answers = annotations_of(study)
    request, _ = table_request(study, answers, Filters(study.min_tokens, adjudicated="only"))
    item = study.items.filter(vector__kind="value").values_list("pk", flat=True).first()
    lists = request.estimates.lists
    assert not lists["list_id"].isin([item]).any()  # nobody adjudicated it
    every, _ = table_request(study, answers, Filters.of(study))
    table = TABLES["estimates"](replace(every, no_sample=request.no_sample))
    assert table["value"].isna().all()
    assert set(table["warning"]) == {f"no estimate: {ADJUDICATED_ALONE}"}


def test_a_study_of_another_extraction_has_no_proxies(data):
    restored(data)
    assert study_proxies(make_study()) is None


def test_queries_do_not_grow_with_lists(data, django_assert_num_queries):
    study = restored(data)
    # The lists, names of models, restored extractions, and extractions of value vectors.
    with django_assert_num_queries(4):
        assert computation.study_proxies(study) is not None


@pytest.mark.parametrize(
    ("name", "row", "column", "cell"),
    [
        (PROXIES, 0, "value", "0.123"),
        (PROXIES, 0, "proxy", "letters"),
        (PROXIES, 0, "list", "2"),
        (CENSUS, 0, "mean", "-8.5"),
        (CENSUS, 0, "vectors", "17"),
        (CENSUS, 0, "layer", "3"),
        (CENSUS, 0, "model", "another"),
        (CENSUS, 4, "missing", "Nobody asked for it."),
        (CENSUS, 0, "proxy", "sizes"),
    ],
)
def test_an_altered_cell_is_found(data, tmp_path, capsys, name, row, column, cell):
    assert main([str(stored(tmp_path, with_cell(data, name, row, column, cell)))]) != 0
    capsys.readouterr()


@pytest.mark.parametrize("name", PROXY_MEMBERS)
def test_an_archive_without_one_of_both_is_found_and_refused(data, tmp_path, capsys, name):
    changed = repacked(data, **{name: None})
    assert main([str(stored(tmp_path, changed))]) == 2
    assert name in capsys.readouterr().err
    with pytest.raises(Invalid, match=name):
        restored(changed)


def test_an_archive_without_both_no_longer_follows_from_its_labels(data, tmp_path, capsys):
    changed = repacked(data, **dict.fromkeys(PROXY_MEMBERS))
    assert main([str(stored(tmp_path, changed))]) == 1
    assert "tables/estimate_differences.csv: row" in capsys.readouterr().out
    assert study_proxies(restored(changed)) is None  # as an archive from before there were any


@pytest.mark.parametrize(
    ("name", "row", "column", "cell", "sentence"),
    [
        (PROXIES, 0, "list", "999", "no value list"),
        (PROXIES, 0, "list", "", "no value list"),
        (PROXIES, 0, "proxy", "other", "lacks the proxy"),
        (PROXIES, 0, "proxy", "late", "lacks the proxy"),
        (PROXIES, 0, "proxy", "letters", "two rows"),
        (PROXIES, 0, "value", "1e+999", "a number is missing, or none"),
        (PROXIES, 0, "value", "9" * 400, "a number is missing, or none"),
        (PROXIES, 0, "value", "9" * 5000, "integer string conversion"),
        (PROXIES, 0, "value", "x", "column of numbers"),
        (CENSUS, 0, "mean", "", "a number is missing, or none"),
        (CENSUS, 0, "vectors", "0", "layer without vectors"),
        (CENSUS, 0, "vectors", "1e+09", "the number of vectors is none"),
        (CENSUS, 0, "vectors", "-3", "the number of vectors is none"),
        (CENSUS, 0, "layer", "1", "two rows"),
        (CENSUS, 0, "title", "\0", "printable"),
        (CENSUS, 0, "title", "x" * 300, "printable"),
        (CENSUS, 0, "proxy", "", "printable"),
        (CENSUS, 4, "mean", "1.0", "has no numbers"),
        (CENSUS, 0, "missing", "Why not?", "has no numbers"),
        (CENSUS, 0, "model", "another", "has no lists"),
    ],
)
def test_what_no_archive_holds_is_refused(data, name, row, column, cell, sentence):
    before = Study.objects.count(), Extraction.objects.count()
    with pytest.raises(Invalid, match=sentence):
        restored(with_cell(data, name, row, column, cell))
    assert (Study.objects.count(), Extraction.objects.count()) == before


@pytest.mark.parametrize("name", PROXY_MEMBERS)
@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\xfe\n", b"list,proxy\r\n"])
def test_a_member_that_is_something_else_is_refused(data, name, content):
    with pytest.raises(Invalid):
        restored(repacked(data, **{name: content}))

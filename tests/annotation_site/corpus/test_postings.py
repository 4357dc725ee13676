"""The index of tokens: it finds what reading the lists finds, and is there when it should be."""

import random

import pytest

from annotation_site.corpus import loading, postings
from annotation_site.corpus.models import Extraction, Kind, ListSegment, TokenPostings, Vector
from annotation_site.corpus.postings import KINDS, lists_holding, postings_sweep
from annotation_site.corpus.services import extraction_delete
from ffn_extract.bundle import open_bundle
from tests.annotation_site.corpus.bundles import make_bundle
from tests.annotation_site.factories import make_extraction

pytestmark = pytest.mark.django_db
WORDS = ([3], [3, 40], [], [99, 17, 250_000], range(60))


def told(held):
    """The lists that were found, as a set of rows."""
    columns = (held.kinds, held.layers, held.indices, held.scores)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def sampled(extraction, *, lists=200, seed=0):
    """More lists of an extraction: of other lengths, some without scores."""
    generator = random.Random(seed)
    Vector.objects.bulk_create(
        Vector(
            extraction=extraction,
            kind=generator.choice(["value", "random", "shuffled"]),
            layer=generator.randrange(40),
            index=1000 + n,
            norm=1.0,
            token_ids=generator.sample(range(100), generator.randrange(1, 31)),
            scores=None,
        )
        for n in range(lists)
    )
    for vector in extraction.vectors.exclude(kind="shuffled"):
        vector.scores = sorted((generator.gauss(0, 1) for _ in vector.token_ids), reverse=True)
        vector.save(update_fields=["scores"])


def filled(extraction):
    while not ListSegment.objects.filter(extraction=extraction, is_last=True).exists():
        postings_sweep()


@pytest.mark.parametrize(("segment", "many"), [(7, 1024), (1000, 1024), (1000, 20), (50, 3)])
@pytest.mark.parametrize("every", [True, False])
def test_the_index_finds_what_reading_finds(monkeypatch, segment, many, every):
    monkeypatch.setattr(postings, "SEGMENT", segment)
    monkeypatch.setattr(postings, "MANY", many)
    extraction = make_extraction()
    sampled(extraction)
    searches = [[list(word)] for word in WORDS] + [[[3], [4, 5]], [[7], [], [8]], [[], []]]
    read = [told(lists_holding(extraction.pk, words, every=every)) for words in searches]
    filled(extraction)
    assert [told(lists_holding(extraction.pk, words, every=every)) for words in searches] == read
    assert any(read)


def test_a_list_of_an_ordinal_beyond_the_first_segment_keeps_its_place(monkeypatch):
    monkeypatch.setattr(postings, "SEGMENT", 5)
    extraction = make_extraction(layers=3, per_layer=3, kinds=("value",))
    filled(extraction)
    assert list(
        ListSegment.objects.order_by("number").values_list("number", "lists", "is_last")
    ) == [(0, 5, False), (1, 4, True)]
    held = lists_holding(extraction.pk, [[8]], every=True)
    assert told(held) == [
        (KINDS.index("value"), n // 3, n % 3, pytest.approx(1 - (8 - n) / 100)) for n in range(9)
    ]


def test_a_bundle_is_loaded_with_its_index(tmp_path):
    extraction = Extraction.objects.create(model_source="tiny", state=Extraction.State.LOADING)
    bundle = open_bundle(make_bundle(tmp_path / "bundle"))
    for _ in range(2):  # the second takes over from an interrupted one
        loading.rows_load(extraction.pk, bundle, lambda *_: None, lambda *_: None)
        assert ListSegment.objects.get().is_last
        held = lists_holding(extraction.pk, [[2]], every=True)
        assert told(held) == [
            (KINDS.index("update"), 0, 0, 2.0),
            (KINDS.index("value"), 0, 5, 0.25),
        ]


def test_progress_of_loading_counts_lists_alone(tmp_path):
    extraction = Extraction.objects.create(model_source="tiny", state=Extraction.State.LOADING)
    seen = []
    bundle = open_bundle(make_bundle(tmp_path / "bundle"))
    loading.rows_load(extraction.pk, bundle, lambda *_: None, lambda *step: seen.append(step))
    assert seen[-1] == ("load_vectors", 2, 2)


def test_an_interrupted_index_goes_on_where_it_stood_and_is_not_used(monkeypatch):
    monkeypatch.setattr(postings, "SEGMENT", 4)
    extraction = make_extraction()
    read = told(lists_holding(extraction.pk, [[9]], every=True))
    postings_sweep()
    assert ListSegment.objects.get().is_last is False
    assert told(lists_holding(extraction.pk, [[9]], every=True)) == read
    # A worker that died while it wrote the second segment left some rows of it.
    postings.postings_continue(extraction_id=extraction.pk)
    ListSegment.objects.filter(number=1).delete()
    filled(extraction)
    assert told(lists_holding(extraction.pk, [[9]], every=True)) == read


def test_the_sweep_leaves_what_is_not_ready_alone():
    extraction = make_extraction()
    Extraction.objects.update(state=Extraction.State.DELETING)
    postings_sweep()
    assert not ListSegment.objects.exists()
    Extraction.objects.update(state=Extraction.State.READY)
    postings_sweep()
    count = TokenPostings.objects.count()
    postings_sweep()
    assert (ListSegment.objects.get().extraction, TokenPostings.objects.count()) == (
        extraction,
        count,
    )


def test_an_extraction_without_lists_has_an_index():
    extraction = make_extraction(layers=0)
    postings_sweep()
    assert ListSegment.objects.get().is_last
    assert len(lists_holding(extraction.pk, [[1]], every=False)) == 0


def test_a_deleted_extraction_takes_its_index_along():
    extraction = make_extraction()
    postings_sweep()
    extraction_delete(extraction=extraction)
    assert not ListSegment.objects.exists()
    assert not TokenPostings.objects.exists()


def test_every_kind_has_the_code_that_is_stored():
    assert KINDS == (
        "key", "permuted", "random", "random-covariance", "random-key", "shuffled", "update",
        "value",
    )  # fmt: skip
    assert set(Kind.values) == set(KINDS)

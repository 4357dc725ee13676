"""Bundles are loaded whole or not at all, and extractions survive what happens to workers."""

import shutil
import uuid
from dataclasses import asdict, astuple
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation_site.analysis.annotation_frames import KIND_NAMES, KINDS
from annotation_site.corpus import importing, loading, services
from annotation_site.corpus.extraction_runs import run_whole
from annotation_site.corpus.models import (
    Extraction,
    Kind,
    Token,
    TriggerPrefixes,
    ValueStatistics,
    Vector,
)
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.sweeps import extractions_sweep
from annotation_site.errors import Invalid, SiteError
from annotation_site.workers import claims
from ffn_extract.bundle import (
    BundleError,
    open_bundle,
)
from ffn_extract.options import VECTOR_KINDS, ExtractOptions
from tests.annotation_site.corpus.bundles import make_bundle
from tests.ffn_extract.small_bundles import (
    every_kind,
    small_prefixes,
    small_statistics,
    write_full_bundle,
)
from tests.ffn_extract.tiny_wikilm import save as save_wikilm

pytestmark = pytest.mark.django_db
State = Extraction.State


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


def test_a_bundle_is_loaded_as_it_is(bundle):
    extraction, created = importing.bundle_import(path=bundle)
    assert created
    assert (extraction.state, extraction.model.name) == (State.READY, "tiny")
    assert extraction.counts == {
        "vectors": 2, "tokens": 6, "glossed": 1, "kinds": {"value": 1, "update": 1}
    }  # fmt: skip
    value, update = Vector.objects.order_by("-kind")
    assert (value.token_ids, value.scores) == ([1, 2, 3], [0.5, 0.25, 0.125])
    assert (value.bottom_token_ids, value.bottom_scores) == ([4, 5, 6], [-3.0, -2.0, -1.0])
    assert (update.context, update.context_position, update.context_token) == (
        "the text",
        1,
        "text",
    )
    tokens = Token.objects.order_by("token_id").values_list("display", "gloss", "is_stopword")
    assert list(tokens)[:3] == [("the", "", True), ("⋯2", "a gloss", False), ("⋯3", "", False)]


def test_every_kind_and_optional_file_is_loaded_and_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "CHUNK", 7)  # lists of prefixes cross the chunks
    write_full_bundle(tmp_path / "full")
    extraction, _ = importing.bundle_import(path=tmp_path / "full")
    held = extraction.vectors.values_list("kind", "layer", "index", "norm", "scores")
    assert sorted(held) == sorted(
        (row.kind, row.layer, row.index, row.norm, row.scores) for row in every_kind()
    )
    assert extraction.counts["kinds"] == dict.fromkeys(Kind.values, 4)
    statistics = extraction.value_statistics.order_by("layer", "index").values_list(
        "layer", "index", "norm", "kurtosis", "skew", "key_cosine"
    )
    assert list(statistics) == [astuple(row) for row in small_statistics()]
    found = [
        {"kind": row.kind, "layer": row.layer, "index": row.index, "side": row.side, "rank": rank,
         **prefix}
        for row in extraction.trigger_prefixes.order_by("layer", "kind", "index", "-side")
        for rank, prefix in enumerate(row.prefixes, start=1)
    ]  # fmt: skip
    assert found == [asdict(row) for row in small_prefixes()]
    assert extraction.trigger_prefixes.count() == 16
    senses = extraction.tokens.get(token_id=2).senses
    assert [sense["part"] for sense in senses] == ["noun", "verb"]
    services.extraction_delete(extraction=extraction)
    for model in (Vector, Token, ValueStatistics, TriggerPrefixes, Extraction):
        assert not model.objects.exists()


def test_the_kinds_of_site_measures_and_bundles_are_the_same():
    assert tuple(Kind.values) == KINDS == VECTOR_KINDS
    assert {kind.value: str(kind.label) for kind in Kind} == KIND_NAMES


def test_loading_the_same_bundle_again_changes_nothing(bundle, tmp_path, capsys):
    first, _ = importing.bundle_import(path=bundle)
    again, created = importing.bundle_import(path=make_bundle(tmp_path / "same"))
    assert (again, created) == (first, False)
    assert Vector.objects.count() == 2
    call_command("import_bundle", str(bundle))
    assert "Already loaded: tiny, 2 lists" in capsys.readouterr().out


def test_two_bundles_of_one_model_share_its_row_and_keep_their_own_tokens(bundle, tmp_path):
    first, _ = importing.bundle_import(path=bundle)
    other, _ = importing.bundle_import(path=make_bundle(tmp_path / "other", seed=1))
    assert first.model == other.model
    assert first.tokens.count() == other.tokens.count() == 6


@pytest.mark.parametrize("name", ["manifest.json", "vectors.parquet", "tokens.parquet"])
def test_a_damaged_bundle_is_refused_before_anything_is_written(bundle, name):
    whole = (bundle / name).read_bytes()
    # Every byte is changed in tests/ffn_extract/test_bundle_damage.py.
    for position in range(0, len(whole), max(1, len(whole) // 8)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x20
        (bundle / name).write_bytes(damaged)
        with pytest.raises(BundleError):
            importing.bundle_import(path=bundle)
    (bundle / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CommandError):
        call_command("import_bundle", str(bundle))
    (bundle / name).unlink()
    with pytest.raises(CommandError, match=name):
        call_command("import_bundle", str(bundle))
    assert (Extraction.objects.count(), Token.objects.count(), Vector.objects.count()) == (0, 0, 0)


def test_a_foreign_folder_is_refused(tmp_path):
    with pytest.raises(CommandError, match="lacks manifest"):
        call_command("import_bundle", str(tmp_path))


def test_a_bundle_that_no_database_could_hold_is_refused_before_anything_is_written(tmp_path):
    for number, changes in enumerate(({"name": "x" * 301}, {"model_type": "x" * 101})):
        path = make_bundle(tmp_path / str(number), **changes)
        with pytest.raises(SiteError, match=r"longer than a \w+ can be"):
            importing.bundle_import(path=path)
    with pytest.raises(SiteError, match="NUL"):
        importing.bundle_import(path=make_bundle(tmp_path / "nul", seed="\0"))
    assert Extraction.objects.count() == 0


def test_an_import_that_breaks_in_the_middle_leaves_nothing(bundle, monkeypatch):
    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(loading, "_vector", full)
    with pytest.raises(OSError, match="disk full"):
        importing.bundle_import(path=bundle)
    assert (Extraction.objects.count(), Token.objects.count()) == (0, 0)


def test_nothing_is_visible_before_the_last_row_is_in(bundle):
    seen = []
    importing.bundle_import(path=bundle, report=lambda *_: seen.append(extractions_ready().count()))
    assert set(seen) == {0}
    assert extractions_ready().count() == 1


def test_an_import_whose_process_died_can_be_repeated(bundle):
    extraction, _ = importing.bundle_import(path=bundle)
    Extraction.objects.update(state=State.LOADING)
    Extraction.objects.update(heartbeat_at=timezone.now())
    with pytest.raises(SiteError, match="being loaded now"):
        importing.bundle_import(path=bundle)
    long_ago = timezone.now() - claims.DEAD_AFTER - timedelta(seconds=1)
    Extraction.objects.update(heartbeat_at=long_ago)
    again, created = importing.bundle_import(path=bundle)
    assert created
    extraction.refresh_from_db()
    assert (extraction.state, extraction.vectors.count()) == (State.FAILED, 0)
    assert again.vectors.count() == 2


def queued():
    return services.extraction_enqueue(model_source="tiny", options=ExtractOptions())


@pytest.mark.parametrize(
    "source", ["", "  ", "/etc", "../models", "a/../../b", "~/x", ".", "-x", "a/b/c", "x\0"]
)
def test_a_path_is_no_model(source):
    with pytest.raises(Invalid):
        services.extraction_enqueue(model_source=source, options=ExtractOptions())
    assert Extraction.objects.count() == 0


def test_a_message_delivered_twice_runs_once():
    extraction = queued()
    assert services.extraction_claim(extraction_id=extraction.pk) is not None
    assert services.extraction_claim(extraction_id=extraction.pk) is None


def test_a_run_whose_worker_died_is_queued_again_and_given_up_in_the_end():
    extraction = queued()
    long_ago = timezone.now() - claims.DEAD_AFTER - timedelta(seconds=1)
    for attempt in range(1, claims.MOST_ATTEMPTS + 1):
        claimed = services.extraction_claim(extraction_id=extraction.pk)
        assert claimed.attempts == attempt
        extractions_sweep()
        claimed.refresh_from_db()
        assert claimed.state == State.RUNNING  # its heartbeat is fresh
        Extraction.objects.update(heartbeat_at=long_ago)
        extractions_sweep()
        claimed.refresh_from_db()
    assert claimed.state == State.FAILED
    assert "stopped without an error message" in claimed.error


def test_a_run_that_lost_its_claim_changes_nothing_any_more(bundle):
    extraction = queued()
    claimed = services.extraction_claim(extraction_id=extraction.pk)
    Extraction.objects.update(claim=uuid.uuid4())
    with pytest.raises(claims.ClaimLost):
        services.extraction_report(extraction=claimed, step="projection")
    importing.bundle_import(path=bundle)
    Vector.objects.update(extraction=extraction)  # what the run that took over has loaded
    services.extraction_fail(extraction=claimed, reason="too late")
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (State.RUNNING, "")
    assert extraction.vectors.count() == 2


def test_a_run_that_takes_over_replaces_what_the_dead_one_had_loaded(bundle):
    claimed = services.extraction_claim(extraction_id=queued().pk)
    loading.rows_load(claimed.pk, open_bundle(bundle), ignore, ignore)
    Extraction.objects.update(heartbeat_at=timezone.now() - 2 * claims.DEAD_AFTER)
    extractions_sweep()
    again = services.extraction_claim(extraction_id=claimed.pk)
    services.bundle_load(extraction=again, bundle=open_bundle(bundle))
    again.refresh_from_db()
    assert (again.state, again.vectors.count(), again.tokens.count()) == (State.READY, 2, 6)


def test_a_run_that_lost_its_claim_while_loading_leaves_no_rows(bundle):
    claimed = services.extraction_claim(extraction_id=queued().pk)

    def taken_over(*_):
        raise claims.ClaimLost

    with pytest.raises(claims.ClaimLost):
        loading.rows_load(claimed.pk, open_bundle(bundle), taken_over, ignore)
    assert claimed.tokens.count() == 0


def test_one_worker_extracts_one_model_at_a_time():
    first, second = queued(), queued()
    assert services.extraction_claim(extraction_id=first.pk) is not None
    assert services.extraction_claim(extraction_id=second.pk) is None
    Extraction.objects.filter(pk=first.pk).update(state=State.READY)
    assert services.extraction_claim(extraction_id=second.pk) is not None


def ignore(*_):
    """Progress that nobody follows."""


def test_lists_that_another_extraction_holds_are_kept_once(bundle, tmp_path):
    first, _ = importing.bundle_import(path=bundle)
    claimed = services.extraction_claim(extraction_id=queued().pk)
    services.bundle_load(extraction=claimed, bundle=open_bundle(make_bundle(tmp_path / "same")))
    claimed.refresh_from_db()
    assert (claimed.state, claimed.same_as, claimed.vectors.count()) == (State.READY, first, 0)
    assert list(extractions_ready()) == [first]


def test_an_error_with_a_sentence_ends_a_run_with_that_sentence(settings, tmp_path):
    settings.BUNDLES_DIR = tmp_path / "bundles"
    settings.MODELS_DIR = tmp_path
    extraction = queued()  # before the folder is there: as where only the worker has it
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text('{"model_type": "unheard_of"}')
    claimed = services.extraction_claim(extraction_id=extraction.pk)
    run_whole(extraction=claimed)
    claimed.refresh_from_db()
    assert claimed.state == State.FAILED
    assert "unheard_of" in claimed.error
    services.extraction_retry(extraction=claimed)
    claimed.refresh_from_db()
    assert (claimed.state, claimed.error, claimed.attempts) == (State.QUEUED, "", 0)
    with pytest.raises(Invalid):
        services.extraction_retry(extraction=claimed)
    shutil.rmtree(tmp_path / "tiny")


def test_a_word_level_model_is_loaded_as_one(tmp_path):
    extract = pytest.importorskip("ffn_extract.pipeline").extract
    save_wikilm(tmp_path / "wikilm")
    options = ExtractOptions(kinds=("value", "random"), per_layer=2, top_k=6, glosses=())
    extract(str(tmp_path / "wikilm"), tmp_path / "bundle", options)
    extraction, _ = importing.bundle_import(path=tmp_path / "bundle")
    model = extraction.model
    assert (model.name, model.model_type, model.vocabulary) == ("wikilm", "wikilm", "word")
    assert Vector.objects.count() == 8
    assert Token.objects.filter(text="\u00a0x").get().display == "\\u00a0x"

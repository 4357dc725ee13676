"""Sentences that workers keep: stored as message and values, read in the reader's language."""

import json

import pytest
from django.core import serializers
from django.db import connection
from django.utils.translation import gettext_noop

from annotation_site.corpus.models import Extraction
from annotation_site.sentences import Sentence, english
from annotation_site.workers.claims import STOPPED
from tests.annotation_site.factories import make_extraction
from tests.annotation_site.pseudo_locale import pseudo_locale

pytestmark = pytest.mark.django_db
PART = gettext_noop("Worker %(worker)s stopped. %(reason)s")


def stored(extraction: Extraction) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT error FROM corpus_extraction WHERE id = %s", [extraction.pk])
        return str(cursor.fetchone()[0])


def test_a_sentence_is_stored_without_a_language_and_read_in_the_readers():
    extraction = make_extraction()
    said = Sentence(PART, worker="w", reason=Sentence(STOPPED, attempts=3))
    with pseudo_locale():  # whatever language a worker has
        Extraction.objects.update(error=said)
    assert json.loads(stored(extraction)) == {
        "message": PART,
        "values": {"worker": "w", "reason": {"message": STOPPED, "values": {"attempts": 3}}},
    }
    extraction.refresh_from_db()
    assert extraction.error == f"Worker w stopped. {STOPPED % {'attempts': 3}}"
    assert "Attempts: 3." in extraction.error
    with pseudo_locale():
        assert str(extraction.error).startswith("⟦Worker w stopped. ⟦The worker process")
        assert english(extraction.error) == f"Worker w stopped. {STOPPED % {'attempts': 3}}"


def test_texts_of_older_versions_are_sentences_without_values():
    extraction = make_extraction()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE corpus_extraction SET error = %s", ["100% of {it} %(failed)s."])
    extraction.refresh_from_db()
    assert extraction.error == "100% of {it} %(failed)s."
    extraction.save()
    assert json.loads(stored(extraction)) == {"message": "100% of {it} %(failed)s.", "values": {}}


def test_a_backup_keeps_message_and_values():
    extraction = make_extraction()
    extraction.error = Sentence(STOPPED, attempts=2)
    extraction.save()
    text = serializers.serialize("json", [extraction])
    [read] = serializers.deserialize("json", text)
    assert read.object.error.values == {"attempts": 2}
    assert read.object.error == extraction.error


def test_nothing_is_stored_as_nothing():
    extraction = make_extraction()
    assert (stored(extraction), extraction.error) == ("", "")
    assert Extraction.objects.filter(error="").exists()

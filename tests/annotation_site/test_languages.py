"""The interface in German, how a person gets it, and what stays as it is in any language."""

import gettext
import io
import json
import re
import shutil
import subprocess

import pytest
from django.utils import timezone

from annotation_site.annotation.models import WorkedDay
from annotation_site.languages import LOCALE, compile_catalogues, compiled, messages
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_study,
    pattern,
    submit,
)
from tests.annotation_site.german_pages import GERMAN, german
from tests.annotation_site.translatable import BLOCK, TAG, sentences

CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/*.po"))
# What an annotator sees, and everybody's account, login and errors; other pages are in English.
ANNOTATORS = {
    "annotation": (
        "_dialogs", "_header", "_may_publish", "_may_share", "_on_withdrawal", "_own_study",
        "_pairs", "_patterns", "_entry_by_entry", "_training", "comparison", "consent", "feedback",
        "hours", "list", "study", "tutorial", "withdraw",
    ),
    "accounts": (
        "_form", "account", "enter", "join", "no_mail", "token_made", "token_new", "tokens",
    ),
    ".": ("403_csrf", "404", "429", "500", "503", "base", "error"),
    "site": ("_field", "_start_picture", "start"),
    **dict.fromkeys(("account", "mfa", "socialaccount", "usersessions"), ("",)),  # all
}  # fmt: skip
PLACES = re.compile(r"%\((\w+)\)s")


@pytest.mark.django_db
def test_an_annotator_s_pages_are_german_with_the_right_plurals():
    study = make_study(title="Colours")
    client = client_of(assignment_of(study).membership.user)
    assert "Anfangen ( Colours )" in german(client, "/")
    assert "Bevor Sie anfangen" in german(client, f"/studies/{study.slug}/consent/")
    assert "Einführung" in german(client, "/tutorial/")
    assert "Noch keine Stunden" in german(client, "/hours/")
    for position, said in (
        (1, "Sie haben 1 Liste abgegeben."),
        (2, "Sie haben 2 Listen abgegeben."),
    ):
        assignment = assignment_of(study, position)
        assert "Abgeben und weiter" in german(client, f"/lists/{assignment.public_id}/")
        submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
        assert said in german(client, f"/studies/{study.slug}/withdraw/")
    assert "Ihre abgegebenen Listen" in german(client, f"/studies/{study.slug}/")


@pytest.mark.django_db
def test_lists_and_people_s_words_are_the_same_in_every_language():
    study = make_study(title="Studies")  # a word that has a translation
    assignment = assignment_of(study)
    client = client_of(assignment.membership.user)
    data = []
    for headers in ({}, GERMAN):
        page = client.get(f"/lists/{assignment.public_id}/", headers=headers).content.decode()
        found = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', page)
        shown = json.loads(found[1])
        data.append((shown["list"]["tokens"], shown["study"]))
        assert '<bdi class="notranslate" translate="no">Studies</bdi>' in page
    assert data[0] == data[1]


@pytest.mark.django_db
def test_errors_are_german_and_files_english():
    assignment = assignment_of(make_study())
    client = client_of(assignment.membership.user)
    body = {"base_version": 0, "key": "0" * 32, "active_seconds": 0,
            "annotation": {"patterns": [], "no_pattern": False}}  # fmt: skip
    url = f"/api/lists/{assignment.public_id}/submit"
    refused = client.post(url, body, "application/json", headers=GERMAN).json()["error"]
    assert refused["code"] == "invalid_annotation"
    assert "mindestens ein Muster" in refused["message"]
    submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    WorkedDay.objects.update_or_create(
        assignment=assignment,
        membership=assignment.membership,
        day=timezone.now().date(),
        defaults={"active_seconds": 60, "cut_seconds": 9, "cut_reason": WorkedDay.Cut.CLOCK},
    )
    rows = [b"".join(client.get("/hours.csv", headers=headers).streaming_content)
            for headers in ({}, GERMAN)]  # fmt: skip
    assert rows[0] == rows[1]
    assert b"more than the time that passed" in rows[0]


@pytest.mark.django_db
def test_a_person_chooses_a_language_for_their_browser():
    client = client_of(UserFactory())
    assert '<html lang="en">' in client.get("/account/").content.decode()
    chosen = client.post("/account/language/", {"language": "de", "next": "/account/"})
    assert (chosen.status_code, chosen["Location"]) == (302, "/account/")
    assert chosen.cookies["django_language"]["httponly"]
    assert '<html lang="de">' in client.get("/account/").content.decode()
    outside = {"language": "en", "next": "https://elsewhere.example/"}
    assert client.post("/account/language/", outside)["Location"] == "/"
    assert '<html lang="en">' in client.get("/account/", headers=GERMAN).content.decode()
    client.post("/account/language/", {"language": "xx", "next": "/"})
    assert '<html lang="en">' in client.get("/account/").content.decode()


@pytest.mark.django_db
def test_other_languages_and_sentences_without_a_translation_are_english(client):
    page = client.get("/login/", headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="en">' in page
    catalogue = gettext.GNUTranslations(io.BytesIO(compiled({"": "", "one": "eins"})))
    assert (catalogue.gettext("one"), catalogue.gettext("two")) == ("eins", "two")


def test_every_sentence_of_an_annotator_s_pages_is_translated():
    text = (LOCALE / "de/LC_MESSAGES/django.po").read_text()
    translated = {key.split("\0")[0].rpartition("\x04")[2] for key, _ in messages(text)}
    for folder, names in ANNOTATORS.items():
        for name in names:
            found = sentences(f"templates/{folder}", f"{name}.html", TAG, BLOCK)
            assert found, name
            missing = {one for one, _ in found if {one, _escaped(one)}.isdisjoint(translated)}
            assert missing == set(), name


def _escaped(sentence: str) -> str:
    """As Django asks for it: a percent sign of a template is doubled."""
    return re.sub(r"%(?!\(\w+\)s)", "%%", sentence)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_translations_keep_the_places_of_values(path):
    for key, said in messages(path.read_text()):
        *_, one = key.split("\x04")
        for found in (_named, _braced):
            known = set().union(*map(found, one.split("\0")))
            assert found(said.split("\0")[-1]) == found(one.split("\0")[-1]), key
            assert set().union(*map(found, said.split("\0"))) <= known, key


def _named(text: str) -> set[str]:
    return set(PLACES.findall(text))


def _braced(text: str) -> set[str]:
    return set() if PLACES.search(text) else set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_catalogues_compile_to_what_gnu_gettext_makes(path, tmp_path):
    ours = gettext.GNUTranslations(io.BytesIO(compiled(dict(messages(path.read_text())))))
    if shutil.which("msgfmt") is None:
        pytest.skip("GNU gettext is not installed, so there is nothing to compare with.")
    subprocess.run(["msgfmt", "-o", tmp_path / "theirs.mo", path], check=True)
    with open(tmp_path / "theirs.mo", "rb") as file:
        assert vars(ours)["_catalog"] == vars(gettext.GNUTranslations(file))["_catalog"]


def test_a_catalogue_has_contexts_plurals_and_long_lines_and_no_guesses(tmp_path):
    folder = tmp_path / "de/LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
        '"Plural-Forms: nplurals=2; plural=n != 1;\\n"\n\n'
        'msgctxt "a study"\nmsgid "Open"\nmsgstr "Öffnen"\n\n'
        'msgid "%(n)s list"\nmsgid_plural "%(n)s lists"\n'
        'msgstr[0] "%(n)s Liste"\nmsgstr[1] "%(n)s Listen"\n\n'
        'msgid ""\n"two "\n"lines"\nmsgstr ""\n"zwei \\"Zeilen\\""\n\n'
        '#, fuzzy\nmsgid "guess"\nmsgstr "geraten"\n\n'
        'msgid "empty"\nmsgstr ""\n\n#~ msgid "gone"\n#~ msgstr "weg"\n'
    )
    (made,) = compile_catalogues(tmp_path)
    assert compile_catalogues(tmp_path) == []  # nothing changed
    with open(made, "rb") as file:
        catalogue = gettext.GNUTranslations(file)
    assert catalogue.pgettext("a study", "Open") == "Öffnen"
    forms = [catalogue.ngettext("%(n)s list", "%(n)s lists", n) for n in (0, 1, 2)]
    assert forms == ["%(n)s Listen", "%(n)s Liste", "%(n)s Listen"]
    assert catalogue.gettext("two lines") == 'zwei "Zeilen"'
    assert [catalogue.gettext(word) for word in ("guess", "empty", "gone")] == [
        "guess", "empty", "gone",
    ]  # fmt: skip

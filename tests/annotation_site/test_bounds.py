"""Every text that people send has a bound, the same one in pages and in the API."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils.module_loading import import_string
from rest_framework import serializers

from annotation_site import bounds
from annotation_site.accounts.forms import AccountForm, TokenForm
from annotation_site.accounts.models import ApiToken, User
from annotation_site.accounts.password_forms import Bounded
from annotation_site.annotation.forms import CopyForm, StudyForm, TextsForm
from annotation_site.annotation.lists import markdown
from annotation_site.annotation.models import Guidelines, Study
from annotation_site.annotation.people.consent import study_texts_change
from annotation_site.annotation.studies.plans import StudyPlan
from annotation_site.annotation.studies.services import study_create
from annotation_site.api.calls import Fields
from annotation_site.api.serializers import corpus, lists, people, studies
from annotation_site.corpus.forms import EnqueueForm, VectorFilter
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import Invalid
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import UserFactory, assignment_of, client_of, make_study

MFA = settings.MFA_FORMS
TEMPLATES = Path(settings.BASE_DIR) / "annotation_site/templates"
# A form, and what takes the same texts from a program.
PAIRS = [
    (StudyForm, studies.NewStudy), (StudyForm, studies.Plan), (TextsForm, studies.NewTexts),
    (CopyForm, studies.Copy), (EnqueueForm, corpus.NewExtraction),
    (VectorFilter, corpus.VectorsQuery),
]  # fmt: skip


def below(kind: Any) -> Iterator[Any]:
    for one in kind.__subclasses__():
        yield one
        yield from below(one)


def all_forms() -> list[type[forms.Form]]:
    assert get_resolver().url_patterns  # which imports every view
    named = [import_string(n) for n in {*settings.ACCOUNT_FORMS.values(), *MFA.values()}]
    ours = {one for one in below(forms.BaseForm) if one.__module__.startswith("annotation_site.")}
    assert set(named) <= ours
    return sorted(ours, key=str)


def all_serializers() -> list[type[Fields]]:
    assert get_resolver().url_patterns
    return sorted(below(Fields), key=str)


def bound(field: Any) -> int | None:
    """The smallest number of characters or entries that the field refuses to exceed."""
    limits = [v.limit_value for v in field.validators if isinstance(v, MaxLengthValidator)]
    limits += [value for value in (getattr(field, "max_length", None),) if value is not None]
    return min(limits, default=None)


def texts_of(form: type[forms.Form]) -> dict[str, Any]:
    fields = deepcopy(form.base_fields)
    if issubclass(form, Bounded):  # as its `__init__` does
        form.bound(fields)
    return {n: f for n, f in fields.items() if isinstance(f, forms.CharField | forms.JSONField)}


def unbounded(name: str, field: Any) -> Iterator[str]:
    """The parts of a serializer's field that may be of any size."""
    if isinstance(field, serializers.BaseSerializer):
        for inner, one in getattr(field, "fields", {}).items():
            yield from unbounded(f"{name}.{inner}", one)
    elif isinstance(field, serializers.ListField):
        if field.max_length is None:
            yield name
        yield from unbounded(f"{name}[]", field.child)
    elif isinstance(field, lists.BoundedJSON):
        assert field.max_bytes <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    elif isinstance(field, serializers.JSONField | serializers.DictField) or (
        isinstance(field, serializers.CharField) and bound(field) is None
    ):
        yield name


def test_every_text_of_every_form_is_bounded():
    seen = {form.__name__: texts_of(form) for form in all_forms()}
    assert sum(map(len, seen.values())) > 40
    assert {
        f"{f}.{n}" for f, texts in seen.items() for n, x in texts.items() if not bound(x)
    } == set()


def test_every_text_list_and_json_that_the_api_takes_is_bounded():
    fields = {
        f"{kind.__name__}.{n}": f for kind in all_serializers() for n, f in kind().fields.items()
    }
    assert len(fields) > 100
    assert [one for name, field in fields.items() for one in unbounded(name, field)] == []


def test_the_walk_sees_what_has_no_bound():
    class Open(Fields):
        text = serializers.CharField()
        many = serializers.ListField(child=serializers.CharField())
        what = serializers.JSONField()

    found = [one for name, field in Open().fields.items() for one in unbounded(name, field)]
    assert found == ["text", "many", "many[]", "what"]
    assert bound(forms.CharField()) is None
    Open.__bases__ = (serializers.Serializer,)  # no other test is to walk over it


@pytest.mark.parametrize(("form", "serializer"), PAIRS)
def test_a_form_and_the_api_have_the_same_bounds(form, serializer):
    fields = serializer().fields
    both = {
        name: (bound(field), bound(fields[name]))
        for name, field in texts_of(form).items()
        if isinstance(fields.get(name), serializers.CharField)
    }
    assert both
    assert {name: pair for name, pair in both.items() if pair[0] != pair[1]} == {}


def test_models_and_pages_have_the_bounds_of_their_texts():
    assert Study._meta.get_field("title").max_length == bounds.TITLE
    assert User._meta.get_field("username").max_length == bounds.LOGIN_NAME
    assert ApiToken._meta.get_field("name").max_length == bounds.TOKEN_NAME
    assert bound(TokenForm.base_fields["name"]) == bounds.TOKEN_NAME
    assert bound(AccountForm.base_fields["username"]) == bounds.LOGIN_NAME
    assert bound(people.Erasure().fields["name"]) == bounds.LOGIN_NAME
    assert bound(lists.Skip().fields["reason"]) == bounds.SKIP_REASON
    page = (TEMPLATES / "annotation/_patterns.html").read_text()
    assert re.findall(r'maxlength="(\d+)"', page) == [str(bounds.ANSWER)] * 2


@pytest.mark.django_db
def test_a_password_or_code_that_is_too_long_is_compared_with_nothing(monkeypatch):
    person = UserFactory()
    compared = []
    monkeypatch.setattr(User, "check_password", lambda *args: compared.append(args))
    for url in ("/login/", reverse("account_reauthenticate")):
        client = client_of(person) if url != "/login/" else Client()
        sent = {"login": person.username, "password": "x" * (bounds.PASSWORD + 1)}
        page = client.post(url, sent).content.decode()
        assert "at most 1000 characters" in page, url
    assert compared == []


def test_the_docs_say_how_long_guidelines_may_be():
    # Paragraphs are wrapped anywhere.
    text = " ".join((Path(settings.BASE_DIR) / "docs/researching.md").read_text().split())
    assert f"at most {bounds.MARKDOWN:,} characters each" in text


TOO_LONG = "x" * (bounds.MARKDOWN + 1)
LINES = ("x" * 99 + "\n") * (bounds.MARKDOWN // 100)


@pytest.mark.django_db
def test_a_text_as_long_as_is_allowed_is_taken_by_page_and_api_and_one_letter_more_by_neither():
    study = make_study()
    browser, script = client_of(study.created_by), bearer(study.created_by)
    base = {"guidelines_base": 1, "consent": "", "consent_base": 0}
    page, call = f"/studies/{study.slug}/texts/", f"/api/studies/{study.slug}/texts"
    windows = LINES.replace("\n", "\r\n")  # as browsers send it
    assert browser.post(page, {**base, "guidelines": windows}).status_code == 302
    assert Guidelines.objects.get(study=study, version=2).text == LINES.strip()
    long = {**base, "guidelines_base": 2, "guidelines": TOO_LONG}
    assert browser.post(page, long).status_code == 422
    assert script.put(call, long, format="json").status_code == 400
    exact = {**long, "guidelines": "y" * bounds.MARKDOWN}
    assert script.put(call, exact, format="json").status_code == 200
    with pytest.raises(Invalid, match="20,001 characters; at most 20,000 are allowed"):
        study_texts_change(study=study, **{**long, "guidelines_base": 3})
    plan = StudyPlan(title="t", extractions=list(extractions_ready()), consent=TOO_LONG)
    with pytest.raises(Invalid, match="The text has 20,001 characters"):
        study_create(plan=plan, created_by=study.created_by)


@pytest.mark.django_db
def test_guidelines_are_rendered_once_however_many_look_at_them(monkeypatch):
    study = make_study(guidelines="Look *closely*.", consent="I *agree*.")
    assignments = [assignment_of(study, n) for n in (1, 2, 3)]
    client = client_of(assignments[0].membership.user)
    rendered = []
    real = markdown._renderer.render
    monkeypatch.setattr(markdown._renderer, "render", lambda t: (rendered.append(t), real(t))[1])
    markdown.safe_html.cache_clear()
    for _ in range(3):
        for assignment in assignments:
            page = client.get(f"/lists/{assignment.public_id}/").content.decode()
            assert "Look <em>closely</em>." in page
        client.get(f"/studies/{study.slug}/consent/")
    assert rendered == ["Look *closely*.", "I *agree*."]
    study_texts_change(
        study=study, guidelines="Look *again*.", guidelines_base=1, consent="I *agree*.",
        consent_base=1,
    )  # fmt: skip
    assert (
        "Look <em>again</em>." in client.get(f"/lists/{assignments[0].public_id}/").content.decode()
    )
    assert rendered[2:] == ["Look *again*."]

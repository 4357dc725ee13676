"""Where annotators look tokens up: known places alone, by a link that tells nobody who asks."""

import io
import json
import re
from dataclasses import replace

import pytest

from annotation_site.annotation.lists.look_up import EDITIONS, SEARCH_ENGINES, LookUp, look_up
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies import rules
from annotation_site.annotation.studies.plans import StudyPlan, plan_check, plan_of
from annotation_site.errors import Invalid
from annotation_site.results.files.archive_restore import study_restore
from tests.annotation_site.archives import members, packed, repacked
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    client_of,
    make_study,
    submit,
)


def links(study: Study) -> list[str]:
    """The places that the annotation page links to, with all that the link says."""
    assignment = assignment_of(study)
    page = client_of(assignment.membership.user).get(f"/lists/{assignment.public_id}/")
    return re.findall(r'<a id="\w+" data-url="[^>]*>', page.content.decode())


def test_every_place_is_encrypted_and_ends_where_the_token_comes():
    for engine in SEARCH_ENGINES:
        for edition in (*EDITIONS, ""):
            found = look_up(engine, edition)
            addresses = [found.search, *filter(None, [found.encyclopedia])]
            assert all(re.fullmatch(r"https://[a-z./]+\?\w+=", one) for one in addresses)
    assert look_up("bing", "") == LookUp("https://www.bing.com/search?q=", "")


@pytest.mark.django_db
def test_a_list_links_to_the_places_of_its_study_and_they_learn_the_token_alone():
    study = make_study(search_engine="google", encyclopedia="de")
    search, encyclopedia = links(study)
    assert 'data-url="https://www.google.com/search?q="' in search
    assert 'data-url="https://de.wikipedia.org/w/index.php?search="' in encyclopedia
    for link in (search, encyclopedia):
        assert 'target="_blank" rel="noopener noreferrer"' in link
        assert "href" not in link
    Study.objects.update(encyclopedia="")
    assert links(study) == [search]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"search_engine": "https://evil.example/?q="}, "Choose among the search engines duckduck"),
        ({"search_engine": ""}, "Choose among the search engines duckduckgo"),
        ({"encyclopedia": "evil.example/"}, "Choose no encyclopedia, or Wikipedia in one of"),
    ],
)
def test_only_known_places_can_be_chosen(changes, sentence):
    study = make_study()
    with pytest.raises(Invalid, match=sentence):
        plan_check(replace(plan_of(study), **changes))


@pytest.mark.django_db
def test_a_copy_and_a_restored_study_look_up_in_the_same_places():
    study = make_study(search_engine="qwant", encyclopedia="simple")
    submit(assignment_of(study), answer())
    researcher = study.created_by
    with pytest.raises(Invalid, match="the rules are fixed"):
        rules.study_change(study=study, plan=replace(plan_of(study), search_engine="bing"))
    page = client_of(researcher).get(f"/studies/{study.slug}/rules/").content.decode()
    assert "Qwant" in page
    assert "simple.wikipedia.org" in page
    data = packed(study)
    for copy in (
        rules.study_duplicate(study=study, title="A copy", by=researcher),
        study_restore(file=io.BytesIO(data), restored_by=researcher),
    ):
        assert (copy.search_engine, copy.encyclopedia) == ("qwant", "simple")


@pytest.mark.django_db
def test_an_archive_of_an_earlier_version_is_restored_with_the_places_of_that_time():
    study = make_study(search_engine="qwant", encyclopedia="")
    submit(assignment_of(study), answer())
    data = packed(study)
    told = json.loads(members(data)["restore/study.json"])
    for name in ("search_engine", "encyclopedia"):
        del told["study"][name]
    older = repacked(data, **{"restore/study.json": json.dumps(told).encode()})
    restored = study_restore(file=io.BytesIO(older), restored_by=study.created_by)
    assert (restored.search_engine, restored.encyclopedia) == ("duckduckgo", "en")
    assert (StudyPlan.search_engine, StudyPlan.encyclopedia) == ("duckduckgo", "en")

"""The options to publish a study and to share its annotations: chosen first, and told to people."""

from dataclasses import replace

import pytest

from annotation_site.annotation.models import Study
from annotation_site.annotation.people.consent import shared_of
from annotation_site.annotation.studies.plans import StudyPlan, plan_of
from annotation_site.annotation.studies.rules import AGREED_TO, study_change, study_duplicate
from annotation_site.errors import Invalid
from annotation_site.results.files.archive_study import LATER_FIELDS, STUDY_FIELDS
from tests.annotation_site.factories import (
    assignment_of,
    client_of,
    make_draft,
    make_study,
    researcher_of,
    submit,
)

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("rule", sorted(AGREED_TO))]
TOLD = {
    "may_publish": (
        "its results and lists may be published", "Its results and lists are not published",
    ),
    "may_share": (
        "your annotations may be shared as a data set",
        "Single annotations are not shared as a data set.",
    ),
}  # fmt: skip


def test_it_is_off_unless_somebody_chooses_it(rule):
    assert getattr(StudyPlan, rule) is False
    assert getattr(Study(), rule) is False
    assert getattr(make_draft(), rule) is False
    assert LATER_FIELDS[rule] is False  # of archives from before
    assert rule in STUDY_FIELDS


def test_a_researcher_chooses_it_in_the_rules(rule):
    study = make_draft()
    runs, address = client_of(researcher_of(study)), f"/api/studies/{study.slug}"
    page = runs.get(f"/studies/{study.slug}/rules/").content.decode()
    assert f'name="{rule}"' in page
    changed = runs.patch(address, {rule: True}, content_type="application/json")
    assert changed.json()[rule] is True
    study.refresh_from_db()
    copied = study_duplicate(study=study, title="A copy", by=researcher_of(study))
    assert getattr(copied, rule) is True


@pytest.mark.parametrize("chosen", [True, False])
def test_annotators_read_it_before_they_start_and_on_the_studys_page(rule, chosen):
    study = make_study(**{rule: chosen})
    annotates = client_of(assignment_of(study).membership.user)
    may, may_not = TOLD[rule]
    for page in ("consent/", ""):
        said = annotates.get(f"/studies/{study.slug}/{page}").content.decode()
        assert (may in said, may_not in said) == (chosen, not chosen), page
    assert annotates.get(f"/api/work/{study.slug}").json()[rule] is chosen
    assert shared_of(study) != shared_of(Study(**{rule: not chosen}))


def test_nobodys_agreement_is_changed_afterwards(rule):
    study = make_study()  # its annotators have read what comes before a list
    with pytest.raises(Invalid, match=AGREED_TO[rule].partition(",")[0]):
        study_change(study=study, plan=replace(plan_of(study), **{rule: True}))
    submit(assignment_of(study))
    with pytest.raises(Invalid, match="so the rules are fixed"):
        study_change(study=study, plan=replace(plan_of(study), **{rule: True}))
    draft = make_draft()
    assert study_change(study=draft, plan=replace(plan_of(draft), **{rule: True})) == [rule]

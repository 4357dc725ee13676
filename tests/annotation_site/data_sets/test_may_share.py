"""The option to share single annotations: chosen before people start, and told to them."""

from dataclasses import replace

import pytest

from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.plans import StudyPlan, plan_of
from annotation_site.annotation.studies.rules import study_change, study_duplicate
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

pytestmark = pytest.mark.django_db
MAY = "your annotations may be shared as a data set"
MAY_NOT = "Single annotations are not shared as a data set."


def test_it_is_off_unless_somebody_chooses_it():
    assert StudyPlan.may_share is False
    assert Study().may_share is False
    assert make_draft().may_share is False
    assert LATER_FIELDS["may_share"] is False  # of archives from before
    assert "may_share" in STUDY_FIELDS


def test_a_researcher_chooses_it_in_the_rules():
    study = make_draft()
    runs, address = client_of(researcher_of(study)), f"/api/studies/{study.slug}"
    page = runs.get(f"/studies/{study.slug}/rules/").content.decode()
    assert 'name="may_share"' in page
    changed = runs.patch(address, {"may_share": True}, content_type="application/json")
    assert changed.json()["may_share"] is True
    study.refresh_from_db()
    assert study_duplicate(study=study, title="A copy", by=researcher_of(study)).may_share is True


@pytest.mark.parametrize("chosen", [True, False])
def test_annotators_read_it_before_they_start_and_on_the_studys_page(chosen):
    study = make_study(may_share=chosen)
    annotates = client_of(assignment_of(study).membership.user)
    for page in ("consent/", ""):
        said = annotates.get(f"/studies/{study.slug}/{page}").content.decode()
        assert (MAY in said, MAY_NOT in said) == (chosen, not chosen), page
    told = annotates.get(f"/api/work/{study.slug}").json()
    assert told["may_share"] is chosen


def test_nobodys_agreement_is_changed_afterwards():
    study = make_study()  # its annotators have read what comes before a list
    with pytest.raises(Invalid, match="People have read whether single annotations"):
        study_change(study=study, plan=replace(plan_of(study), may_share=True))
    submit(assignment_of(study))
    with pytest.raises(Invalid, match="so the rules are fixed"):
        study_change(study=study, plan=replace(plan_of(study), may_share=True))
    draft = make_draft()
    assert study_change(study=draft, plan=replace(plan_of(draft), may_share=True)) == ["may_share"]

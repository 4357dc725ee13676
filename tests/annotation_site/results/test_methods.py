"""Methods paragraphs of unusual studies: they say what is so, and cite what they use."""

import json
import re

import pytest

from annotation_site.annotation.models import Assignment
from annotation_site.errors import Invalid
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import TableSettings
from annotation_site.results.files.references import REFERENCES
from annotation_site.verify import main
from tests.annotation_site.archives import members, packed, stored
from tests.annotation_site.factories import (
    LanguageModelFactory,
    answer,
    make_extraction,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
ANSWERS = (
    answer(pattern(1, [1, 2, 3, 4, 5])),
    answer(),
    answer(pattern(1, [2, 3, 4, 5, 6, 7], category="syntactic")),
)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(
        archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
    )


def made(*, kinds=("value", "random"), parameters=None, d_ff=16, models=1, annotators=2, **rules):
    """A study in which everybody has annotated all lists of theirs."""
    extractions = []
    for _ in range(models):
        one = make_extraction(
            layers=1, per_layer=3, kinds=kinds, model=LanguageModelFactory(d_ff=d_ff)
        )
        one.parameters |= parameters or {}
        one.save()
        extractions.append(one)
    study = make_study(
        extractions=extractions, annotators=annotators, lists_per_layer=3, kinds=kinds, **rules
    )
    own = Assignment.objects.filter(item__study=study, purpose="annotation").order_by("pk")
    for number, assignment in enumerate(own):
        submit(assignment, ANSWERS[number % 3])
    return study


def said(study, tmp_path):
    """The text, after the archive was verified and its citations compared."""
    data = packed(study)
    assert main([str(stored(tmp_path, data))]) == 0
    found = members(data)
    text, works = (found[name].decode() for name in ("methods.md", "references.bib"))
    assert cited(text) == entries(works)
    return text, found


def cited(text):
    """Author and year of every citation, by the parentheses alone."""
    inside = re.findall(r"\(([^()]*, \d{4}(?:; [^()]*, \d{4})*)\)", text)
    return {one for group in inside for one in group.split("; ")}


def entries(bibtex):
    """The same of every entry but the software's."""
    keys = re.findall(r"^@(?!software)\w+\{([^,]+),$", bibtex, re.MULTILINE)
    assert len(keys) == len(set(keys))
    return {REFERENCES[key].cited for key in keys}


def test_a_usual_study_cites_what_stands_in_its_references(tmp_path):
    text, _ = said(made(), tmp_path)
    assert {"Geva et al., 2022", "Holm, 1979"} <= cited(text)
    assert "chosen by hand" not in text


def test_a_study_without_annotations_has_no_archive():
    with pytest.raises(Invalid, match="has no annotations yet"):
        packed(make_study())


def test_a_study_with_training_alone_says_that_nobody_has_annotated(tmp_path):
    study = make_study(
        extraction=make_extraction(layers=1, per_layer=4), lists_per_layer=1, training_lists=1
    )
    submit(Assignment.objects.filter(item__study=study, purpose="training").first(), answer())
    text, _ = said(study, tmp_path)
    assert "No list has an annotation that counts." in text
    assert "Agreement is undefined" in text
    assert "Coverage of the" not in text


def test_one_person_alone_has_no_agreement(tmp_path):
    text, _ = said(made(annotators=1), tmp_path)
    assert "One annotator submitted 6 annotations without seeing the model" in text
    assert "Agreement is undefined" in text
    assert "kappa" not in text
    assert "one annotator alone" in text


def test_several_models_are_named_each_with_its_numbers(tmp_path):
    study = made(models=2)
    text, _ = said(study, tmp_path)
    for model in (one.model.name for one in study.extractions.all()):
        assert f"Coverage of the value vectors of {model} is " in text
        assert f"3 of 3 lists of value vectors of {model}" in text


def test_without_random_lists_nothing_is_compared(tmp_path):
    text, _ = said(made(kinds=("value",)), tmp_path)
    assert "random" not in text.replace("drawn at random", "")
    assert "permutation" not in text


def test_chosen_vectors_are_called_no_probability_sample(tmp_path):
    study = made(parameters={"vectors": [[0, 0], [0, 1], [0, 2]], "per_layer": "listed"})
    model = study.extractions.get().model.name
    text, found = said(study, tmp_path)
    assert f"The value vectors of {model} were chosen by hand and are no probability sample" in text
    assert "vectors were chosen, not drawn at random: no sampling interval" in text
    for row in json.loads(found["tables/coverage_intervals.json"])["rows"]:
        if row["kind"] == "value":
            assert row["low"] is None
            assert "chosen" in row["warning"]


def test_where_all_vectors_were_taken_no_interval_is_given(tmp_path):
    study = made(kinds=("value",), parameters={"per_layer": "all"}, d_ff=3)
    text, found = said(study, tmp_path)
    assert "all vectors of this kind were taken: no sampling interval" in text
    assert "95% t intervals" not in text
    rows = json.loads(found["tables/coverage_intervals.json"])["rows"]
    assert all(row["low"] is None for row in rows)

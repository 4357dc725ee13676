"""Lists of trigger prefixes: their entries, their rules, and which keys have one."""

import json
from dataclasses import replace

import pytest

from annotation_site.annotation.lists.entries import (
    cut_before_last_token,
    list_entries,
    stored_prefixes,
)
from annotation_site.annotation.lists.page import list_page, own_list
from annotation_site.annotation.models import Pattern, Study
from annotation_site.annotation.studies.plans import plan_of
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.annotation.studies.rules import study_change, study_duplicate
from annotation_site.corpus.models import KEY_KINDS, TriggerPrefixes
from annotation_site.errors import Invalid, InvalidAnnotation
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    make_draft,
    make_extraction,
    make_prefix_study,
    make_prefixes,
    make_study,
    pattern,
    submit,
)

PREFIXES = Study.ListSource.TRIGGER_PREFIXES


@pytest.mark.parametrize(
    ("text", "display", "cut"),
    [
        ("the old dog", "dog", ("the old ", "dog")),
        ("he went walking", "⋯ing", ("he went walk", "ing")),
        ("he came,", "⋯,", ("he came", ",")),
        ("in  the", "␣the", ("in ", " the")),
        ("a sign: \\\\", r"⋯\\\\", ("a sign: ", "\\\\")),
        ("the old dog", None, ("the old ", "dog")),
        ("the old dog", "cat", ("the old ", "dog")),
        ("what?!", None, ("what?", "!")),
        ("a line ", "␣", ("a line", " ")),
        ("", None, ("", "")),
    ],
)
def test_a_prefix_is_cut_before_its_last_token(text, display, cut):
    assert cut_before_last_token(text, display) == cut


@pytest.mark.django_db
class TestLists:
    def test_a_list_shows_25_prefixes_with_the_last_token_apart(self):
        extraction = make_extraction(kinds=KEY_KINDS, layers=1, per_layer=1)
        TriggerPrefixes.objects.update(prefixes=make_prefixes(range(40)))
        vector = extraction.vectors.get(kind="key")
        entries = list_entries(vector, PREFIXES)
        assert len(entries) == 25
        assert (entries[3].rank, entries[3].before, entries[3].display, entries[3].text) == (
            4, "Nobody had expected to read of ", "word3",
            "Nobody had expected to read of word3",
        )  # fmt: skip

    def test_the_page_has_the_text_and_nothing_of_its_origin(self):
        study = make_prefix_study()
        row = assignment_of(study)
        page = list_page(own_list(row.membership.user, row.public_id))
        shown = page["list"]
        assert len(shown["tokens"]) == 25
        assert shown["tokens"][0][1:] == ["", "Nobody had expected to read of "]
        assert page["study"]["list_source"] == "trigger_prefixes"
        assert page["study"]["several_patterns_per_token"] is True
        assert page["study"]["categories"] == ["shallow", "semantic"]
        assert (page["study"]["min_tokens"], page["study"]["show_glosses"]) == (3, False)
        said = json.dumps(page)
        stored = stored_prefixes([row.item.vector_id])[row.item.vector_id]
        for name in ("sentence", "coefficient", "gate_sign", "copies"):
            assert name not in said
        assert str(stored[0]["sentence"]) not in said

    def test_negative_prefixes_are_no_part_of_a_list(self):
        extraction = make_extraction(kinds=KEY_KINDS, layers=1, per_layer=1)
        TriggerPrefixes.objects.create(
            extraction=extraction, kind="key", layer=0, index=0, side="negative",
            prefixes=make_prefixes([99], coefficient=-1.0),
        )  # fmt: skip
        entries = list_entries(extraction.vectors.get(kind="key"), PREFIXES)
        assert len(entries) == 25
        assert "word99" not in [entry.display for entry in entries]

    def test_an_annotation_may_put_a_prefix_into_several_patterns(self):
        row = assignment_of(make_prefix_study())
        both = answer(
            pattern(1, [1, 2, 3], category="shallow"), pattern(2, [3, 4, 25], category="semantic")
        )
        submit(row, both)
        assert [p.stopwords_proposed for p in Pattern.objects.all()] == [False, False]

    def test_a_rank_behind_the_25th_is_refused(self):
        row = assignment_of(make_prefix_study())
        with pytest.raises(InvalidAnnotation, match="ranks 1 to 25"):
            submit(row, answer(pattern(1, [1, 2, 26], category="shallow")))

    def test_patterns_of_prefixes_have_no_stopwords_flag(self):
        row = assignment_of(make_prefix_study())
        flagged = pattern(1, [1, 2, 3], category="shallow", stopwords=True)
        with pytest.raises(InvalidAnnotation, match="no stopwords flag"):
            submit(row, answer(flagged))

    def test_sentences_speak_of_prefixes(self):
        row = assignment_of(make_prefix_study())
        with pytest.raises(InvalidAnnotation, match=r"Pattern 1 has no prefix\. Add a prefix,"):
            submit(row, answer(pattern(1, [], category="shallow")))


@pytest.mark.django_db
class TestKeysWithoutAFullList:
    def extraction(self):
        """Key 0 is never active, key 1 in three sentences, key 2 in 25."""
        found = make_extraction(kinds=("key",), layers=1, per_layer=3)
        rows = TriggerPrefixes.objects.filter(extraction=found)
        rows.filter(index=0).delete()
        rows.filter(index=1).update(prefixes=make_prefixes([5, 6, 7]))
        return found

    def lists(self, study):
        found = study.items.order_by("vector__index").values_list("vector__index", flat=True)
        return list(found)

    def test_a_key_that_is_never_active_has_no_list(self):
        study = make_prefix_study(extraction=self.extraction(), kinds=("key",))
        assert self.lists(study) == [1, 2]

    def test_a_short_list_is_shown_as_it_is(self):
        study = make_prefix_study(extraction=self.extraction(), kinds=("key",))
        vector = study.items.get(vector__index=1).vector
        assert [entry.display for entry in list_entries(vector, PREFIXES)] == [
            "word5", "word6", "word7",
        ]  # fmt: skip

    def test_short_lists_are_left_out_on_request(self):
        study = make_prefix_study(
            extraction=self.extraction(), kinds=("key",), full_lists_only=True
        )
        assert self.lists(study) == [2]

    def test_the_preview_counts_them(self):
        study = make_draft(extraction=self.extraction(), **_rules(kinds=("key",)))
        preview = study_preview(plan=plan_of(study), by=study.created_by)
        assert (preview.never_active, preview.short_lists, preview.lists) == (1, 1, 2)
        assert preview.sample[0].before == "Nobody had expected to read of "

    def test_rules_that_leave_out_a_begun_list_are_refused(self):
        study = make_prefix_study(extraction=self.extraction(), kinds=("key",))
        for row in study.items.get(vector__index=1).assignments.all():
            row.opened_at = study.created_at
            row.save()
        with pytest.raises(Invalid, match="have begun lists"):
            study_change(study=study, plan=replace(plan_of(study), full_lists_only=True))


def _rules(**changes):
    from tests.annotation_site.factories import PREFIXES as RULES

    return {**RULES, **changes}


@pytest.mark.django_db
class TestRules:
    def test_a_copy_shows_prefixes_too(self):
        study = make_prefix_study(full_lists_only=True)
        copy = study_duplicate(study=study, title="A copy", by=study.created_by)
        assert (copy.list_source, copy.full_lists_only) == (PREFIXES, True)
        assert copy.categories == ["shallow", "semantic"]

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"kinds": ("value",)}, "Choose among the kinds key, random-key"),
            ({"categories": ("syntactic",)}, "Choose among the categories shallow, semantic"),
            ({"min_tokens": 26}, "at most 25 prefixes"),
            ({"list_source": "sentences"}, "Choose what lists show"),
        ],
    )
    def test_rules_that_cannot_work_are_refused(self, changes, sentence):
        with pytest.raises(Invalid, match=sentence):
            make_draft(extraction=make_extraction(kinds=KEY_KINDS), **_rules(**changes))

    def test_a_study_of_top_tokens_has_no_shallow_patterns(self):
        with pytest.raises(Invalid, match="Choose among the categories semantic, syntactic"):
            make_study(categories=("shallow",))

    def test_the_guidelines_are_those_of_prefixes(self):
        study = make_prefix_study()
        text = study.guidelines.get().text
        assert "at least 3 prefixes" in text
        assert "30 tokens" not in text

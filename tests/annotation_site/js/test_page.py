"""The annotation page in a real browser, without a database: keys, mouse, saving, conflicts."""

import itertools
import re

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from annotation_site.annotation.lists.look_up import look_up
from annotation_site.annotation.lists.script_words import script_words
from tests.annotation_site.js.driver import (
    expect_list,
    expect_saved,
    members,
    open_list,
    press,
    reload,
    row,
)
from tests.annotation_site.js.stub import (
    BOTH_KINDS,
    BOTH_KINDS_SLOWLY,
    PREFIXES,
    Stub,
    prefixes,
    tokens,
)

pytestmark = pytest.mark.xdist_group("page")
LETTERS = "abcdefghijklmnopqrstuvwxyz,.-;"


def drag(page: Page, *ranks: int) -> None:
    for n, rank in enumerate(ranks):
        box = row(page, rank).bounding_box()
        page.mouse.move(box["x"] + 90, box["y"] + 10)
        if n == 0:
            page.mouse.down()
    page.mouse.up()


@BOTH_KINDS
def test_a_list_is_labelled_and_submitted_with_the_keyboard_alone(page: Page, stub: Stub):
    press(page, "1 1 1 1 j 2 2 2 2 s p d")
    page.keyboard.type("j x 1")  # no command while typing
    press(page, "Enter ArrowLeft y")
    assert (members(page, 1), members(page, 2)) == ([1, 2, 3, 4], [6, 7, 8, 9])
    press(page, "Enter")
    expect_list(page, 2)
    expect(page).to_have_url(stub.address + stub.url(1))
    pattern = {"description": "", "category": "syntactic", "stopwords": None}
    other = {"description": "j x 1", "category": "semantic"}
    other["stopwords"] = None if stub.shows_prefixes else True  # prefixes have no such flag
    assert stub.answer(0) == {
        "patterns": [
            {"number": 1, "ranks": [1, 2, 3, 4], **pattern},
            {"number": 2, "ranks": [6, 7, 8, 9], **other},
        ],
        "no_pattern": False,
        "comment": "",
    }


@BOTH_KINDS
def test_eight_scattered_tokens_take_fewer_than_fifteen_keys(page: Page, stub: Stub):
    page.evaluate("window.pressed = 0; addEventListener('keydown', () => { pressed += 1 }, true)")
    ranks = [2, 5, 9, 14, 17, 22, 28, 30]
    press(page, " ".join(["f", *(LETTERS[r - 1] for r in ranks), "Escape", "s", "d"]))
    before = page.evaluate("pressed")
    page.keyboard.type("units")
    press(page, "Enter Enter")
    expect_list(page, 2)
    assert stub.answer(0)["patterns"][0]["ranks"] == ranks
    assert before > 0
    assert before + 2 < 15


@BOTH_KINDS_SLOWLY
def test_shift_extends_a_selection_and_backspace_clears(page: Page):
    press(page, "Shift+ArrowDown Shift+J Shift+ArrowDown 1")
    assert members(page, 1) == [1, 2, 3, 4]
    expect(row(page, 5)).to_be_focused()
    press(page, "k Backspace")
    assert members(page, 1) == [1, 2, 3]


@BOTH_KINDS
def test_clicks_drags_and_ranges(page: Page):
    row(page, 3).click()
    row(page, 3).click()
    assert members(page, 1) == []
    row(page, 3).click()
    row(page, 6).click(modifiers=["Shift"])
    assert members(page, 1) == [3, 4, 5, 6]
    page.locator("#add").click()
    drag(page, 10, 15, 12)  # back a little: what was left again is free again
    assert members(page, 2) == [10, 11, 12]
    press(page, "u")
    assert members(page, 2) == []
    press(page, "U")
    page.get_by_role("button", name="Choose pattern 1").first.click()
    drag(page, 13, 12)
    assert (members(page, 1), members(page, 2)) == ([3, 4, 5, 6, 12, 13], [10, 11])
    page.get_by_role("button", name="Remove pattern 1").click()
    assert members(page, 1) == [10, 11]


@BOTH_KINDS
def test_undo_and_redo_outlive_a_reload(page: Page):
    press(page, "1 1 1 s d")
    page.keyboard.type("abc")
    press(page, "Escape c")
    page.keyboard.type("why")
    press(page, "Escape")
    expect_saved(page)
    reload(page)
    press(page, "u u u u")
    assert members(page, 1) == [1, 2]
    expect(page.locator(".describe")).to_have_value("")
    expect(page.locator("#comment")).to_have_value("")
    expect_saved(page)
    reload(page)
    press(page, "U U U U")
    assert members(page, 1) == [1, 2, 3]
    expect(page.locator(".describe")).to_have_value("abc")
    expect(page.locator("#comment")).to_have_value("why")


@BOTH_KINDS_SLOWLY
def test_work_is_kept_while_offline_and_sent_when_back(page: Page, stub: Stub):
    press(page, "1")
    expect_saved(page)
    page.context.set_offline(True)
    press(page, "1 1 s")
    expect(page.locator("#save-state")).to_have_text(
        "Not saved yet: no connection, kept on this computer"
    )
    assert stub.answer()["patterns"][0]["ranks"] == [1]
    page.context.set_offline(False)
    expect_saved(page)
    assert stub.answer()["patterns"][0]["ranks"] == [1, 2, 3]
    assert page.evaluate("Object.keys(localStorage).filter((k) => /draft/.test(k))") == []


def test_too_many_writes_wait_as_long_as_told_and_lose_nothing(page: Page, stub: Stub):
    press(page, "1")
    expect_saved(page)
    stub.busy = "600"
    before = len(stub.requests)
    press(page, "1 1")
    expect(page.locator("#save-state")).to_have_text(
        "Not saved yet: too many changes within a minute, kept on this computer"
    )
    press(page, "1 s")
    page.wait_for_timeout(3_000)  # longer than a page waits for a server that does not answer
    assert len(stub.requests) == before + 1
    press(page, "Enter")
    expect(page.locator("#message-text")).to_contain_text(
        "Not submitted yet. This page tries again"
    )
    expect(page.locator("#save-state")).to_contain_text("too many changes within a minute")
    assert len(stub.requests) == before + 2
    assert stub.lists[0]["state"] == "in progress"
    stub.busy = ""
    reload(page)
    assert members(page, 1) == [1, 2, 3, 4]
    expect_saved(page)
    assert stub.answer()["patterns"][0]["ranks"] == [1, 2, 3, 4]


def test_a_submission_among_too_many_writes_is_sent_again_by_itself(page: Page, stub: Stub):
    press(page, "1 1 1 1 s")
    expect_saved(page)
    stub.busy = "2"
    press(page, "Enter")
    expect(page.locator("#message-text")).to_contain_text("This page tries again by itself")
    stub.busy = ""
    expect(page).to_have_url(f"{stub.address}{stub.url(1)}")
    (first, *more) = stub.sent("submit")
    assert more
    assert {body["key"] for body in more} == {first["key"]}
    assert stub.lists[0]["submitted"] == 1


def test_leaving_with_unsaved_work_warns_and_loses_nothing(page: Page, stub: Stub):
    stub.status = 503
    press(page, "1 1")
    expect(page.locator("#save-state")).to_contain_text("the server does not answer")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    reload(page)
    assert asked == ["beforeunload"]
    assert members(page, 1) == [1, 2]
    expect(page.locator("#message")).to_contain_text("restored")
    stub.status = 0
    expect_saved(page)
    assert stub.answer()["patterns"][0]["ranks"] == [1, 2]


def test_a_lost_reply_is_no_conflict(page: Page, stub: Stub):
    press(page, "1")
    expect_saved(page)
    stub.lose_replies = True
    press(page, "1")
    expect(page.locator("#save-state")).to_contain_text("Not saved")
    press(page, "1")
    stub.lose_replies = False
    expect_saved(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert stub.answer()["patterns"][0]["ranks"] == [1, 2, 3]


@BOTH_KINDS_SLOWLY
@pytest.mark.parametrize("choice", ["Keep this version", "Use the version saved elsewhere"])
def test_two_tabs_never_overwrite_each_other(page: Page, stub: Stub, choice: str):
    press(page, "1 1")
    expect_saved(page)
    other = page.context.new_page()
    open_list(other, stub, 0)
    press(other, "j j 2")
    expect_saved(other)
    press(page, "1")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("only here: \u2068word3\u2069")
    press(page, "Escape")
    expect(page.locator("#save-state")).to_have_text(
        "Not saved: changed in another tab or on another device"
    )
    page.get_by_role("button", name="Compare and choose").click()
    dialog.get_by_role("button", name=choice).click()
    expect_saved(page)
    kept = [pattern["ranks"] for pattern in stub.answer()["patterns"]]
    press(page, "u")  # the other version is one undo away
    expect_saved(page)
    dropped = [pattern["ranks"] for pattern in stub.answer()["patterns"]]
    mine, theirs = [[1, 2, 3]], [[1, 2], [5]]
    assert [kept, dropped] == ([mine, theirs] if choice.startswith("Keep") else [theirs, mine])


def test_an_overtaken_tab_says_so_when_it_is_looked_at(page: Page, stub: Stub):
    press(page, "1")
    expect_saved(page)
    looked_at = "dispatchEvent(new Event('focus'))"
    with page.expect_response("**/draft"):
        page.evaluate(looked_at)
    expect_saved(page)  # nobody else saved
    for _ in range(5):
        page.evaluate(looked_at)  # asked again only after a while
    other = page.context.new_page()
    open_list(other, stub, 0)
    press(other, "j 1")
    expect_saved(other)
    assert stub.looks == 1

    page.evaluate("performance.now = () => 3_600_000")  # an hour later
    page.evaluate(looked_at)
    expect(page.locator("#save-state")).to_have_text("Changed in another tab or on another device")
    page.get_by_role("button", name="Compare and choose").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 token2 tokens; only here: \u2068word3\u2069")
    dialog.get_by_role("button", name="Use the version saved elsewhere").click()
    expect_saved(page)
    assert members(page, 1) == [1, 3]
    assert stub.looks == 2
    press(page, "j j 1")
    expect_saved(page)
    assert stub.answer()["patterns"][0]["ranks"] == members(page, 1)


def test_a_pattern_that_only_one_version_has_is_missing_in_the_other(page: Page, stub: Stub):
    other = page.context.new_page()
    open_list(other, stub, 0)
    press(other, "1 1")
    expect_saved(other)
    press(page, "x")
    cells = page.get_by_role("dialog").get_by_role("row", name="Pattern 1").get_by_role("cell")
    expect(cells).to_have_text(["missing", re.compile("not described; no category; 2 tokens: ")])


def test_an_impatient_person_submits_once(page: Page, stub: Stub):
    with stub.answers_wait():
        press(page, "x Enter Enter")
        page.locator("#submit").click(force=True)
    expect_list(page, 2)
    press(page, "Enter")
    assert len(stub.sent("submit")) == 1


def test_a_submission_without_a_reply_is_repeated_with_the_same_key(page: Page, stub: Stub):
    press(page, "x")
    expect_saved(page)
    stub.lose_replies = True
    press(page, "Enter")
    expect(page.locator("#message")).to_contain_text("Not submitted yet")
    stub.lose_replies = False
    expect_list(page, 2)
    assert len(stub.sent("submit")) > 1
    assert len({body["key"] for body in stub.sent("submit")}) == 1
    assert stub.lists[0]["submitted"] == 1


def test_a_change_stops_a_submission_that_waits(page: Page, stub: Stub):
    press(page, "x")
    expect_saved(page)
    stub.status = 502
    press(page, "Enter")
    expect(page.locator("#message")).to_contain_text("Not submitted yet")
    press(page, "1")
    expect(page.locator("#message")).to_contain_text("Your change stopped the submission")
    stub.status = 0
    expect_saved(page)
    assert (stub.lists[0]["submitted"], stub.answer()["patterns"][0]["ranks"]) == (0, [1])


def test_a_change_during_a_later_attempt_stays_a_draft(page: Page, stub: Stub):
    press(page, "x")
    expect_saved(page)
    stub.status = 502
    press(page, "Enter")
    expect(page.locator("#message")).to_contain_text("Not submitted yet")
    with stub.answers_wait() as wait_for_one:
        stub.status = 0
        wait_for_one()
        press(page, "1")
    expect_saved(page)
    expect_list(page, 1)
    assert (stub.lists[0]["submitted"], stub.answer()["patterns"][0]["ranks"]) == (1, [1])


def test_a_change_during_a_later_attempt_that_fails_stops_it_too(page: Page, stub: Stub):
    press(page, "x")
    expect_saved(page)
    stub.status = 502
    press(page, "Enter")
    expect(page.locator("#message")).to_contain_text("Not submitted yet")
    with stub.answers_wait() as wait_for_one:
        wait_for_one()
        press(page, "1")
    expect(page.locator("#message")).to_contain_text("Your change stopped the submission")
    stub.status = 0
    expect_saved(page)
    assert (stub.lists[0]["submitted"], stub.answer()["patterns"][0]["ranks"]) == (0, [1])


def test_a_person_who_was_logged_out_logs_in_elsewhere_and_goes_on(page: Page, stub: Stub):
    stub.logged_out = True
    press(page, "1")
    expect(page.locator("#message")).to_contain_text("You were logged out")
    expect(page.get_by_role("link", name="Log in in a new tab")).to_have_attribute(
        "href", "/login/"
    )
    press(page, "1")
    with stub.answers_wait():  # else the page may try by itself, and the button goes
        stub.logged_out = False
        page.get_by_role("button", name="Try again").click()
    expect_saved(page)
    expect(page.locator("#message")).to_be_hidden()
    assert stub.answer()["patterns"][0]["ranks"] == [1, 2]


@BOTH_KINDS
def test_the_rules_are_said_before_submitting(page: Page, stub: Stub):
    message = page.locator("#message-text")
    press(page, "Enter")
    expect(message).to_contain_text("Mark at least one pattern")
    press(page, "1 1 1 Enter")
    expect(message).to_have_text(
        "Pattern 1 needs a category. Choose \u2068semantic\u2069 (s), \u2068syntactic\u2069 (y), "
        "or \u2068names\u2069 (a)."
    )
    press(page, "a n d")
    page.keyboard.type("words only")
    press(page, "Enter Enter")
    one, many = ("prefix", "prefixes") if stub.shows_prefixes else ("token", "tokens")
    expect(message).to_contain_text(f"Pattern 2 has no {one}")
    press(page, "r n Enter")  # a blank pattern goes silently
    expect(message).to_contain_text(f"3 {many} and needs 4 to count.")
    assert stub.sent("submit") == []
    press(page, "Enter")
    expect_list(page, 2)
    assert len(stub.answer(0)["patterns"]) == 1


@BOTH_KINDS_SLOWLY
def test_no_pattern_takes_patterns_away_and_undo_brings_them_back(page: Page):
    press(page, "1 1 x")
    expect(page.locator(".pattern")).to_have_count(0)
    page.get_by_role("button", name="Undo", exact=True).click()
    assert members(page, 1) == [1, 2]
    expect(page.locator("#none")).not_to_be_checked()


@BOTH_KINDS_SLOWLY
def test_a_list_is_skipped_with_a_reason(page: Page, stub: Stub):
    press(page, "q")
    expect(page.get_by_role("dialog")).to_be_visible()
    press(page, "Space Tab")
    page.keyboard.type("jargon")
    press(page, "Enter")
    expect_list(page, 2)
    (body,) = stub.sent("skip")
    assert body["reason"] == "I do not know enough of these words: jargon"


def test_a_reason_to_skip_has_a_number_and_is_asked_for_in_our_own_words(page: Page, stub: Stub):
    press(page, "q")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    press(page, "Enter")
    missing = dialog.get_by_role("alert")
    expect(missing).to_have_text("Choose a reason: click it, or press its number.")
    assert stub.sent("skip") == []
    press(page, "3")
    expect(dialog.get_by_label("The list looks broken")).to_be_focused()
    dialog.get_by_label("More about it").fill("")
    dialog.get_by_label("More about it").press("2")  # typed, no number of a reason
    press(page, "Enter")
    expect_list(page, 2)
    assert [body["reason"] for body in stub.sent("skip")] == ["The list looks broken: 2"]
    press(page, "q")
    expect(dialog).to_be_visible()
    expect(missing).to_be_hidden()


def test_back_and_forward_load_the_list_of_the_address(page: Page):
    press(page, "x Enter")
    expect_list(page, 2)
    page.go_back()
    expect_list(page, 1)
    expect(page.locator("#notice")).to_contain_text("You submitted this list")
    page.go_forward()
    expect_list(page, 2)
    press(page, "1 b")
    expect_list(page, 1)


@BOTH_KINDS_SLOWLY
def test_a_closed_study_can_be_read_but_not_changed(page: Page, stub: Stub):
    stub.study["open"] = False
    reload(page)
    press(page, "1 j x n")
    assert members(page, 1) == []
    expect(page.locator("#notice")).to_contain_text("not open")
    expect_saved(page)  # not before what is to be sent has been sent
    assert stub.requests == []


@BOTH_KINDS_SLOWLY
def test_a_token_may_be_in_several_patterns_where_the_study_allows_it(page: Page, stub: Stub):
    stub.study["several_patterns_per_token"] = True
    reload(page)
    press(page, "1 2")
    assert (members(page, 1), members(page, 2)) == ([1], [1])
    press(page, "2")
    assert (members(page, 1), members(page, 2)) == ([1], [])


def test_the_stopwords_flag_follows_the_members_until_a_person_sets_it(page: Page, stub: Stub):
    stub.lists[0]["tokens"] = tokens("the", "of", ",", "cat")
    reload(page)
    press(page, "1 1 1")
    flag = page.locator(".flag input")
    expect(flag).to_be_checked()
    press(page, "p 1")
    expect(flag).not_to_be_checked()
    expect_saved(page)
    assert stub.answer()["patterns"][0]["stopwords"] is False


def test_tokens_spelled_alike_are_underlined_where_the_study_wants_it(page: Page, stub: Stub):
    stub.lists[0]["tokens"] = tokens("Name", "north", "name", "northbound", "surname", "east")
    reload(page)
    note = page.locator("#detail-note")
    expect(note).to_have_text("same letters as 3")
    expect(page.locator(".kin")).to_have_count(0)
    stub.study["highlight_spellings"] = True
    reload(page)

    def marked() -> list[str]:
        lines = "(e) => getComputedStyle(e).textDecorationLine"
        underlined = [t for t in page.locator(".token").all() if t.evaluate(lines) == "underline"]
        return [t.inner_text() for t in underlined if t.inner_text()]

    assert marked() == ["Name", "name", "surname"]
    expect(note).to_have_text("same letters as 3 · spelled like 5")
    press(page, "j")
    assert marked() == ["north", "northbound"]
    expect(note).to_have_text("spelled like 4")
    press(page, "j j j j")
    assert marked() == []


@pytest.mark.parametrize("stub", [PREFIXES], indirect=True)
class TestPrefixes:
    """What a row of a prefix has that a row of a token lacks."""

    LONG = "the end of a text that goes on and on, " * 12

    def test_a_row_shows_the_end_and_the_current_prefix_stands_whole_beside_it(
        self, page: Page, stub: Stub
    ):
        stub.lists[0]["tokens"] = prefixes(f"{self.LONG}he was walking")
        reload(page)
        last = row(page, 1).locator("b.token")
        expect(last).to_have_text("walking")
        expect(row(page, 1).locator(".prefix")).to_have_text(f"{self.LONG}he was walking")
        expect(page.locator("#detail-gloss")).to_have_text(f"{self.LONG}he was walking")
        right = "(e) => e.getBoundingClientRect().right"
        ends = {round(row(page, n).locator("b.token").evaluate(right)) for n in (1, 2, 3)}
        assert len(ends) == 1  # equal endings stand below each other
        assert row(page, 1).evaluate("(e) => e.scrollWidth <= e.clientWidth")
        page.set_viewport_size({"width": 390, "height": 844})
        expect(last).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") == 390

    def test_prefixes_that_end_alike_are_underlined_where_the_study_wants_it(
        self, page: Page, stub: Stub
    ):
        texts = ("he went walking", "a dog", "we were talking", "She likes walking", "an old log")
        stub.lists[0]["tokens"] = prefixes(*texts)
        stub.study["highlight_spellings"] = True
        reload(page)
        kin = page.locator(".kin .token")
        assert kin.all_inner_texts() == ["walking", "talking", "walking"]
        press(page, "j")
        assert kin.all_inner_texts() == []

    def test_patterns_have_no_stopwords_flag(self, page: Page, stub: Stub):
        press(page, "1 p")
        expect(page.locator(".flag").first).to_be_hidden()
        expect_saved(page)
        assert stub.answer()["patterns"][0]["stopwords"] is None

    def test_sentences_speak_of_prefixes(self, page: Page, stub: Stub):
        press(page, "1 s Enter")
        expect(page.locator("#covered")).to_have_text("1 of 30 prefixes")
        expect(page.locator("#message")).to_contain_text("Pattern 1 has 1 prefix and needs 4")
        press(page, "?")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Click a prefix to put it into the current pattern")
        assert "token" not in page.locator("body").inner_text()


def test_the_current_token_shows_every_sense_with_its_part_of_speech(page: Page, stub: Stub):
    senses = [["noun", "what word1 means"], ["verb", "<b>to word</b>"]]
    stub.lists[0]["senses"] = [senses, [], [["", "of a wiki"]], *[[]] * 27]
    open_list(page, stub, 0)
    shown = page.locator("#detail-gloss")
    expect(shown.locator("li")).to_have_text(["noun what word1 means", "verb <b>to word</b>"])
    expect(row(page, 1).locator(".gloss")).to_have_text("what word1 means")
    press(page, "j")
    expect(shown).to_have_text("No gloss.")
    press(page, "j")
    expect(shown.locator("li")).to_have_text(["of a wiki"])
    stub.study["show_glosses"] = False
    stub.lists[0]["senses"] = [[]] * 30
    open_list(page, stub, 0)
    expect(shown).to_have_text("")


def test_help_that_cannot_be_fetched_says_so_and_comes_later(page: Page, stub: Stub):
    stub.status = 503
    press(page, "?")
    expect(page.locator("#message-text")).to_contain_text("This cannot be shown")
    stub.status = 0
    press(page, "?")
    expect(page.get_by_role("dialog")).to_contain_text("submit and next")
    expect(page.get_by_role("link", name="Try the tutorial")).to_be_visible()


def test_looking_a_token_up_is_an_act_of_the_person_and_tells_nobody_who_asks(
    page: Page, stub: Stub
):
    page.context.route(
        re.compile("duckduckgo|startpage|wikipedia"), lambda route: route.fulfill(body="found")
    )
    with page.context.expect_page() as opened:
        press(page, "j w")
    expect(opened.value).to_have_url("https://duckduckgo.com/?q=word2")
    assert opened.value.evaluate("[document.referrer, window.opener]") == ["", None]
    for link in ("#search", "#encyclopedia"):
        expect(page.locator(link)).to_have_attribute("rel", "noopener noreferrer")
    assert stub.look_up == look_up("duckduckgo", "en")
    stub.look_up = look_up("startpage", "")
    reload(page)
    with page.context.expect_page() as opened:
        press(page, "w W")
    expect(opened.value).to_have_url("https://www.startpage.com/do/search?q=word1")
    expect(page.get_by_role("link", name="Wikipedia")).to_have_count(0)
    assert len(page.context.pages) == 3


def test_hostile_texts_stay_texts(page: Page, stub: Stub):
    evil = "</script><img src=x onerror=alert(1)>"
    stub.lists[0]["tokens"] = tokens(evil, "\u202eevil", "{{ 7*7 }}")
    reload(page)
    expect(row(page, 1).locator(".token")).to_have_text(evil)
    press(page, "1 d")
    page.keyboard.type(evil)
    press(page, "Enter")
    assert page.locator("main img").count() == 0


def test_single_keys_can_be_restricted_to_the_list(page: Page):
    press(page, "?")
    page.locator("#keys-everywhere").uncheck()
    press(page, "Escape")
    page.locator("#undo").focus()
    press(page, "x")
    expect(page.locator("#none")).not_to_be_checked()
    row(page, 1).focus()
    press(page, "x")
    expect(page.locator("#none")).to_be_checked()


@BOTH_KINDS_SLOWLY
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768), (1366, 650)])
def test_everything_stands_on_one_screen(page: Page, width: int, height: int):
    page.set_viewport_size({"width": width, "height": height})
    press(page, "1 1 1 1 2 2")
    for part in (row(page, 1), row(page, 30), page.locator("#add"), page.locator("#submit")):
        expect(part).to_be_in_viewport(ratio=1)
    assert row(page, 1).bounding_box()["height"] >= 24


@BOTH_KINDS
def test_the_whole_task_on_a_phone(browser: Browser, stub: Stub):
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = phone.new_page()
    open_list(page, stub, 0)
    for rank in (1, 2, 3, 4):
        row(page, rank).tap()
    page.get_by_role("button", name="New pattern", exact=True).tap()
    row(page, 4).tap()
    page.locator("#picker").get_by_role("button", name="Choose pattern 1").tap()
    row(page, 4).tap()
    page.get_by_label("Category of pattern 1").get_by_text("semantic").tap()
    page.locator("#submit").tap()
    expect_list(page, 2)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert stub.answer(0)["patterns"][0]["ranks"] == [1, 2, 3, 4]
    phone.close()


def test_a_message_is_seen_on_a_telephone_wherever_the_list_is_scrolled(page: Page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#submit").click()
    message, button = (
        page.locator("#message").bounding_box(),
        page.locator("#submit").bounding_box(),
    )
    assert "Mark at least one pattern" in page.locator("#message").inner_text()
    assert message["y"] > 0
    assert message["y"] + message["height"] <= button["y"] <= 844


@BOTH_KINDS_SLOWLY
def test_no_barrier_that_axe_finds_in_any_theme_and_width(page: Page):
    axe = Axe()
    page.evaluate(axe.axe_script)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    rules = {"label-content-name-mismatch": {"enabled": True}}
    options = {"runOnly": tags, "rules": rules, "resultTypes": ["violations"]}
    for keys in ("", "1 1 2 3 4 5 6 7 8 9 s Enter", "?", "Escape q", "Escape g", "g f", "Escape c"):
        press(page, keys)
        if keys[-1:] in ("?", "q"):  # it is fetched first
            expect(page.get_by_role("dialog")).to_be_visible()
        for scheme, width in itertools.product(("light", "dark"), (1280, 390)):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = AxeResults(page.evaluate("(how) => axe.run(document, how)", options))
            assert found.violations_count == 0, (keys, scheme, width, found.generate_report())


@BOTH_KINDS
def test_a_key_press_touches_only_the_rows_that_change(page: Page):
    """What keeps it far below a frame's 16 ms: the cost does not grow with the list."""
    touched = page.evaluate(
        """async () => {
          const observer = new MutationObserver(() => {});
          const tokens = document.getElementById('tokens');
          observer.observe(tokens, {subtree: true, childList: true, attributes: true});
          const touched = [];
          for (let i = 0; i < 200; i += 1) {
            const key = '1j2kjsu3j0'[i % 10];
            document.activeElement.dispatchEvent(
              new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
            const rows = observer.takeRecords().map((record) => record.target.closest('.row'));
            touched.push(new Set(rows).size);
            await new Promise(requestAnimationFrame);
          }
          return touched;
        }"""
    )
    assert 1 <= max(touched) <= 4


@BOTH_KINDS_SLOWLY
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_weighs_less_than_104_kilobytes_and_asks_nobody_else(
    page: Page, stub: Stub, language: str
):
    """In every language: the words of a translation come with the first list and are kept.

    Prefixes may weigh 106 kilobytes: they are longer and bring a script and a style sheet.
    """
    stub.language = language
    page.wait_for_load_state("networkidle")  # a reply that a reload cuts off has no body
    reload(page)
    words = [f"/lists/words/de.{found.version}.js"] if (found := script_words(language)) else []
    assert stub.words_asked == words
    assert found is None or len(found.script.encode()) < 6_500
    page.wait_for_load_state("networkidle")
    replies = []
    page.on("response", lambda reply: replies.append(reply))
    open_list(page, stub, 1)
    page.wait_for_load_state("networkidle")
    assert stub.words_asked == words
    assert all(reply.url.startswith(stub.address) for reply in replies)
    own = [reply for reply in replies if "/lists/words/" not in reply.url]
    assert len(own) > 20
    assert sum(len(reply.body()) for reply in own) < (106_000 if stub.shows_prefixes else 104_000)

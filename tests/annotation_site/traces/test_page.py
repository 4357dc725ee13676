"""What the page of a trace shows, to whom, and what it hides; its drawing and its sentence."""

import json
import re
import zlib

import pytest
from django.db.models import F

from annotation_site.accounts.models import Role
from annotation_site.annotation.lists.hidden import Hidden
from annotation_site.annotation.models import ListLook, Membership, Study
from annotation_site.corpus.models import Extraction, LanguageModel, Vector
from annotation_site.errors import SiteError
from annotation_site.traces import services
from annotation_site.traces.answers import require_answer
from annotation_site.traces.drawing import column_of
from annotation_site.traces.models import Trace
from annotation_site.traces.page import percent, sentence_of, spelled, without_hidden
from tests.annotation_site.factories import (
    TRACE,
    LanguageModelFactory,
    UserFactory,
    client_of,
    make_extraction,
    make_study,
    make_trace,
    text_of,
)

pytestmark = pytest.mark.django_db
State = Trace.State
EXAMPLE = json.loads(TRACE.read_text())


@pytest.fixture
def rosa():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def able(monkeypatch):
    """Every model can be traced."""
    monkeypatch.setattr("annotation_site.traces.selectors.trace_refusal", lambda model: "")
    monkeypatch.setattr(services, "trace_refusal", lambda model: "")


def page_of(trace, client, query=""):
    return client.get(f"/traces/{trace.public_id}/{query}")


def test_the_page_has_what_the_answer_says(rosa):
    trace = make_trace(requested_by=rosa)
    text = text_of(page_of(trace, client_of(rosa)))
    last = EXAMPLE["layers"][-1]
    assert "of at most 256 tokens" in text
    for one in EXAMPLE["pushed_most"][:4]:
        assert f"{one['layer']}.{one['index']}" in text
    assert f"{last['rank_after']:,}" in text
    # Both panes, and what became of the token.
    assert "As it is" in text
    assert "With 3 vectors changed" in text
    assert "falls from rank 1 to" in text
    # The table has every layer's pushes.
    for layer in EXAMPLE["layers"]:
        said = f"{layer['ffn_push']:+.2f}".replace("-", "−")
        assert said in text


def test_a_layer_has_its_ten_sub_updates_in_either_order(rosa):
    trace = make_trace(requested_by=rosa)
    client = client_of(rosa)
    layer = EXAMPLE["layers"][1]

    def names(order):
        page = page_of(trace, client, f"?layer=1&order={order}").content.decode()
        panel = page[page.index('<ol class="trace-subs">') :]
        return re.findall(r'name="tick" value="([\d.]+)"', panel)

    assert names("size") == [f"1.{one['index']}" for one in layer["dominant"]]
    by_push = sorted(layer["dominant"], key=lambda one: -abs(one["push"]))
    assert names("push") == [f"1.{one['index']}" for one in by_push]
    assert names("nonsense") == names("size")
    everywhere = page_of(trace, client, "?layer=all").content.decode()
    found = re.findall(r'name="tick" value="([\d.]+)"', everywhere)
    assert found == [f"{one['layer']}.{one['index']}" for one in EXAMPLE["pushed_most"]]
    assert page_of(trace, client, "?layer=999999").status_code == 200


def test_a_negative_coefficient_shows_the_lowest_tokens_behind_that_word(rosa):
    trace = make_trace(requested_by=rosa)
    for layer in EXAMPLE["layers"]:
        page = page_of(trace, client_of(rosa), f"?layer={layer['layer']}").content.decode()
        lowest = sum(one["side"] == "lowest" for one in layer["dominant"])
        assert page.count('<span class="end">lowest</span>') == lowest
        signs = [f"{one['coefficient']:+.2f}".replace("-", "−") for one in layer["dominant"]]
        assert all(sign in page for sign in signs)


def test_what_was_ticked_gets_a_line_and_stays_in_links(rosa, able):
    trace = make_trace(requested_by=rosa, answer={**EXAMPLE, "changed": None})
    make_extraction(model=trace.model, layers=1, per_layer=1, kinds=("value",))
    first, second = (f"0.{one['index']}" for one in EXAMPLE["layers"][0]["dominant"][:2])
    client = client_of(rosa)
    page = page_of(
        trace,
        client,
        f"?own=1&layer=0&shown={first},{second}&change={first}&tick={second}&action-{second}=set"
        f"&value-{second}=3",
    ).content.decode()
    # The first was not ticked any more.
    assert re.findall(r'name="change" value="([\d.]+)"', page) == [second]
    assert f'name="action-{second}" value="set" checked' in page
    assert f"change={second}&amp;action-{second}=set&amp;value-{second}=3" in page.replace(
        "&", "&amp;"
    ).replace("&amp;amp;", "&amp;")
    # A layer that does not list it keeps it.
    other = page_of(trace, client, f"?layer=1&own=1&change={second}").content.decode()
    assert re.findall(r'name="change" value="([\d.]+)"', other) == [second]


def test_trace_again_with_changes(rosa, able, messages):
    trace = make_trace(requested_by=rosa)
    make_extraction(model=trace.model, layers=1, per_layer=1, kinds=("value",))
    client = client_of(rosa)
    given = {
        "prompt": trace.prompt, "model": trace.model_id, "new_tokens": 6, "of": trace.public_id,
        "own": 1, "layer": 0, "change": ["0.3", "1.2"], "shown": "",
        "action-0.3": "set", "value-0.3": "−2,5", "from-0.3": "2", "action-1.2": "zero",
        "value-1.2": "what", "from-1.2": "0",
    }  # fmt: skip
    response = client.post("/traces/", given)
    made = Trace.objects.first()
    assert response.url == f"/traces/{made.public_id}/"
    assert made.request["interventions"] == [
        {"layer": 0, "index": 3, "action": "set", "value": -2.5, "from_position": 2},
        {"layer": 1, "index": 2, "action": "zero", "value": 0.0, "from_position": 0},
    ]
    # What is no number leads back, with everything that was typed.
    back = client.post("/traces/", {**given, "value-0.3": "much"}, follow=True)
    assert "Give a number for the vector 0.3." in text_of(back)
    assert 'value="much"' in back.content.decode()
    # Without scripts, a button shows what was ticked.
    look = client.post("/traces/", {**given, "look": 1})
    assert look.url.startswith(f"/traces/{trace.public_id}/?layer=0&order=size&own=1&change=0.3")
    assert Trace.objects.count() == 2


def test_an_address_can_bring_vectors_to_change(rosa, able, messages):
    model = LanguageModelFactory(n_layers=2, d_ff=16)
    make_extraction(model=model, layers=1, per_layer=1, kinds=("value",))
    client = client_of(rosa)
    page = client.get(f"/traces/?model={model.pk}&change=0.3&change=1.2&change=nonsense")
    assert "With 2 vectors changed" in text_of(page)
    given = {"prompt": "the cat", "model": model.pk, "change": ["0.3", "1.2"], "value-0.3": "2"}
    client.post("/traces/", given)
    made = Trace.objects.get().request["interventions"]
    assert [(one["layer"], one["index"], one["value"]) for one in made] == [
        (0, 3, 2.0), (1, 2, -1.0),
    ]  # fmt: skip
    refused = client.post("/traces/", {**given, "prompt": ""})
    assert "With 2 vectors changed" in text_of(refused)
    assert 'value="2"' in refused.content.decode()


def test_lines_of_a_prompt_stay_as_they_were(rosa, able, messages):
    model = LanguageModelFactory()
    make_extraction(model=model, layers=1, per_layer=1, kinds=("value",))
    client = client_of(rosa)
    given = {"prompt": "one\r\ntwo", "model": model.pk}  # as browsers send it
    page = client.post("/traces/", given, follow=True).content.decode()
    assert Trace.objects.get().prompt == "one\ntwo"
    assert '<textarea name="prompt"' in page


def test_a_refused_prompt_stays_in_the_form(rosa, able, messages):
    model = LanguageModelFactory()
    make_extraction(model=model, layers=1, per_layer=1, kinds=("value",))
    client = client_of(rosa)
    assert "No traces yet" in text_of(client.get("/traces/"))
    refused = client.post("/traces/", {"prompt": " ", "model": model.pk})
    assert refused.status_code == 422
    assert "Type a prompt first" in text_of(refused)
    long = client.post("/traces/", {"prompt": "a" * 2_001, "model": model.pk})
    assert long.status_code == 422
    queued = client.post("/traces/", {"prompt": " the cat", "model": model.pk}, follow=True)
    assert "Your trace is next" in text_of(queued)
    assert Trace.objects.get().prompt == " the cat"


def test_a_site_without_a_model_to_trace_says_what_to_do(rosa):
    client = client_of(rosa)
    assert "Ask an admin to enqueue a causal model" in text_of(client.get("/traces/"))
    make_extraction(layers=1, per_layer=1, kinds=("value",), model=LanguageModelFactory(name="m"))
    assert "The files of m are not on this site anymore" in text_of(client.get("/traces/"))
    admin = client_of(UserFactory(role=Role.ADMIN))
    assert "/models/enqueue/" in admin.get("/traces/").content.decode()


def test_the_form_begins_with_the_example_of_the_demo_model(rosa, able):
    for name in ("gpt2", "SmolLM2-135M-Instruct"):
        model = LanguageModelFactory(name=name)
        make_extraction(model=model, layers=1, per_layer=1, kinds=("value",))
    page = client_of(rosa).get("/traces/").content.decode()
    assert 'value="The capital of France is"' in page
    assert f'<option value="{model.pk}" selected>SmolLM2-135M-Instruct' in page


def test_waiting_traces_say_their_place_and_can_be_cancelled(rosa, messages):
    make_trace(state=State.RUNNING, requested_by=UserFactory(role=Role.RESEARCHER))
    mine = make_trace(state=State.QUEUED, requested_by=rosa)
    client = client_of(rosa)
    assert "1 trace before yours" in text_of(page_of(mine, client))
    progress = client.get(f"/traces/{mine.public_id}/progress/")
    assert "1 trace before yours" in text_of(progress)
    client.post(f"/traces/{mine.public_id}/delete/")
    assert not Trace.objects.filter(pk=mine.pk).exists()


def test_a_trace_at_work_says_what_it_does(rosa):
    trace = make_trace(state=State.RUNNING, step="model", requested_by=rosa)
    assert "Load the model" in text_of(page_of(trace, client_of(rosa)))


def test_a_page_renews_itself_once_the_trace_is_there(rosa):
    trace = make_trace(requested_by=rosa)
    response = client_of(rosa).get(f"/traces/{trace.public_id}/progress/")
    assert (response.status_code, response["HX-Refresh"]) == (204, "true")


def test_a_failed_trace_gives_the_reason_and_the_prompt(rosa, able):
    reason = "The prompt has 301 tokens; at most 256 are traced. Give a shorter one."
    trace = make_trace(state=State.FAILED, error=reason, requested_by=rosa, prompt="a long one")
    make_extraction(model=trace.model, layers=1, per_layer=1, kinds=("value",))
    page = page_of(trace, client_of(rosa))
    assert reason in text_of(page)
    assert 'value="a long one"' in page.content.decode()


# Hidden vectors


@pytest.fixture
def annotated():
    """A trace of a model of which a study is open, shared; and one of the study's annotators,
    who is a researcher elsewhere. The study has the vectors that the trace shows first.
    """
    model = LanguageModelFactory(n_layers=2, d_ff=1_000)
    extraction = make_extraction(model=model, layers=2, per_layer=2, kinds=("value", "random"))
    places = [
        (layer["layer"], layer["dominant"][n]["index"])
        for layer in EXAMPLE["layers"]
        for n in range(2)
    ]
    rows = Vector.objects.filter(extraction=extraction, kind="value").order_by("pk")
    Vector.objects.filter(kind="value").update(index=F("index") + 10_000)  # out of the way
    for vector, (_, index) in zip(rows, places, strict=True):
        Vector.objects.filter(pk=vector.pk).update(index=index)
    study = make_study(extraction=extraction, lists_per_layer=2)
    annotator = study.memberships.filter(role=Membership.Role.ANNOTATOR).first().user
    annotator.role = Role.RESEARCHER
    annotator.save()
    return study, annotator, places


def marked(places):
    """The example, in which some vectors have tokens and numbers of their own."""
    answer = json.loads(TRACE.read_text())
    for traced in (answer, answer["changed"]):
        every = [(one, layer["layer"]) for layer in traced["layers"] for one in layer["dominant"]]
        for one, layer in (*every, *((one, one["layer"]) for one in traced["pushed_most"])):
            if (layer, one["index"]) in places:
                one["tokens"] = ["zqhidden"] * 10
                one.update(coefficient=987.6543, share=0.123454321, push=-654.321)
    return answer


def everything(client, trace):
    """All bytes about a trace that somebody can reach."""
    address = f"/traces/{trace.public_id}"
    pages = [f"{address}/{query}" for query in ("", "?layer=0", "?layer=1", "?layer=all")]
    pages += [f"{address}/?layer=1&order=push", f"{address}.json", "/traces/", "/api/traces"]
    pages += [f"/api/traces/{trace.public_id}"]
    found = b"".join(client.get(page).getvalue() for page in pages)
    return found.decode()


@pytest.mark.parametrize("leaves", ["tokens", "987.65", "654.32", "0.1234543", "12%"])
def test_whoever_annotates_sees_nothing_of_their_vectors(annotated, leaves):
    _, annotator, places = annotated
    theirs = "zqhidden" if leaves == "tokens" else leaves
    trace = make_trace(LanguageModel.objects.get(), answer=marked(places), is_shared=True)
    somebody = everything(client_of(UserFactory(role=Role.RESEARCHER)), trace)
    assert theirs in somebody
    seen = everything(client_of(annotator), trace)
    assert theirs not in seen
    assert "in which you annotate" in seen
    for layer, index in places:
        assert f'value="{layer}.{index}"' not in seen
        assert f"/neurons/{layer}/{index}/" not in seen


def test_the_answer_is_the_same_whatever_is_hidden_in_it(annotated):
    """Byte by byte: what hidden vectors are changes nothing that their annotator can reach."""
    _, annotator, places = annotated
    client = client_of(annotator)
    trace = make_trace(LanguageModel.objects.get(), is_shared=True)
    before = everything(client, trace)
    kept = json.dumps(require_answer(marked(places), trace.model)).encode()
    trace.content.compressed = zlib.compress(kept)
    trace.content.save()
    csrf = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    assert csrf.sub("", everything(client, trace)) == csrf.sub("", before)


def test_a_change_of_a_hidden_vector_is_not_shown(annotated):
    _, annotator, places = annotated
    layer, index = places[0]
    answer = json.loads(TRACE.read_text())
    answer["changed"]["interventions"][0].update(layer=layer, index=index, value=4321.5)
    answer["changed"]["continuation"] = [{"token_id": 1, "token": "zqchanged"}]
    trace = make_trace(LanguageModel.objects.get(), answer=answer, is_shared=True)
    seen = everything(client_of(annotator), trace)
    assert "4321" not in seen
    assert "zqchanged" not in seen
    assert "What the change did is not shown to you." in seen
    assert "zqchanged" in everything(client_of(UserFactory(role=Role.RESEARCHER)), trace)
    Study.objects.update(state=Study.State.CLOSED)
    assert "zqchanged" in everything(client_of(annotator), trace)


def test_hidden_vectors_are_left_out_of_a_copy():
    layer = EXAMPLE["layers"][0]
    index = layer["dominant"][0]["index"]
    hidden = Hidden({"w": frozenset({("value", 0, index)})})
    seen = without_hidden(EXAMPLE, hidden, "w")
    assert len(seen["layers"][0]["dominant"]) == 9
    assert seen["layers"][0]["hidden"] == 1
    assert all((one["layer"], one["index"]) != (0, index) for one in seen["pushed_most"])
    assert seen["layers"][1]["hidden"] == 0
    assert json.loads(TRACE.read_text()) == EXAMPLE
    assert without_hidden(EXAMPLE, hidden, "other weights")["layers"][0]["hidden"] == 0


def test_looks_at_labels_of_an_own_study_are_recorded_once(annotated):
    study, _, _ = annotated
    Study.objects.update(state=Study.State.ARCHIVED)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    trace = make_trace(LanguageModel.objects.get(), is_shared=True)
    client = client_of(researcher)

    def looked():
        found = ListLook.objects.filter(user=researcher)
        return sorted(found.values_list("item__vector__layer", flat=True))

    page_of(trace, client, "?layer=0")
    page_of(trace, client, "?layer=0")
    assert looked() == [0, 0]  # those of the open layer
    client.get(f"/traces/{trace.public_id}.json").getvalue()
    assert looked() == [0, 0, 1, 1]  # the file has them all


# Pure pieces


def test_the_sentence_names_the_layers_where_the_rank_moves():
    def layer(number, rank, before=(), after=()):
        return {
            "layer": number, "rank_after": rank, "rank_before": rank,
            "before": [{"token_id": 1, "token": "x", "probability": p} for p in before],
            "after": [{"token_id": 1, "token": "x", "probability": p} for p in after],
        }  # fmt: skip

    ranks = (2678, 2079, 396, 92, 113, 34, 7, 3)
    layers = [layer(n, rank) for n, rank in enumerate(ranks)]
    layers.append(layer(8, 1, [0.104], [0.7]))
    token = {"token_id": 1, "token": "x", "probability": 0.772}
    assert sentence_of(layers, token) == (
        "rank 2,079 after layer 1, 396 after 2, 34 after 5, 7 after 6, first after 8, whose FFN "
        "takes it from 10% to 77%."
    )
    assert sentence_of([layer(0, 1), layer(1, 1)], token) == "first after layer 0."
    assert sentence_of([layer(0, 50), layer(1, 12)], token) == "rank 50 after layer 0, 12 after 1."


def test_the_column_has_one_axis_and_the_change_from_its_layer_on():
    ranks = [(1000, 100), (100, 100), (10, 1)]
    layers = [{"rank_before": a, "rank_after": b} for a, b in ranks]
    changed = [{"rank_before": a, "rank_after": b} for a, b in [(1, 1), (100, 1000), (1000, 10)]]
    column = column_of(layers, changed, 1)
    assert [(tick.text, tick.at) for tick in column.ticks] == [
        ("1k", 0.0), ("100", 33.3), ("10", 66.7), ("1st", 100.0),
    ]  # fmt: skip
    assert [row.is_raised for row in column.rows] == [True, False, True]
    assert [row.is_lowered for row in column.rows] == [False, False, False]
    assert [row.changed for row in column.rows] == ["", "M33.3 6L0.0 19", "M0.0 0L66.7 19"]
    assert column.rows[2].attention == "M33.3 0L66.7 6M100.0 14V19"
    assert column.rows[2].ffn == "M66.7 6L100.0 14"
    assert [t.text for t in column_of([{"rank_before": 1, "rank_after": 1}]).ticks] == ["10", "1st"]


def test_the_leading_space_of_a_token_is_visible():
    answer = {
        "layers": [
            {
                "before": [{"token": "⋯ing"}, {"token": "␣,"}, {"token": ","}],
                "dominant": [{"tokens": ["Paris", "<end>", "\\n"]}],
            }
        ],
        "tokens": ["⋯The", "capital"],
        "continuation": [{"token": "Paris"}],
    }
    found = spelled(answer)
    assert found["tokens"] == ["The", "␣capital"]
    assert [one["token"] for one in found["layers"][0]["before"]] == ["ing", "␣,", ","]
    assert found["layers"][0]["dominant"][0]["tokens"] == ["␣Paris", "<end>", "\\n"]
    assert found["continuation"] == [{"token": "␣Paris", "text": " Paris"}]


def test_probabilities_have_as_many_digits_as_they_deserve():
    assert [percent(value) for value in (0.772, 0.065, 0.0951, 0.0004, 0.0, 1.0)] == [
        "77%", "6.5%", "9.5%", "<0.1%", "0.0%", "100%",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "spoil"),
    [
        ("layers", lambda a: a["layers"].pop()),
        ("layers", lambda a: a["layers"][0].update(rank_after=0)),
        ("layers", lambda a: a["layers"][0]["dominant"][0].update(push=float("nan"))),
        ("dominant", lambda a: a["layers"][0].update(dominant=a["layers"][0]["dominant"] * 2)),
        ("index", lambda a: a["layers"][0]["dominant"][0].update(index=1_000)),
        ("token", lambda a: a.pop("token")),
        ("pushed_most", lambda a: a["pushed_most"][0].update(layer=2)),
        ("tokens", lambda a: a.update(tokens="the cat")),
        ("position", lambda a: a.update(position=-1)),
        ("interventions", lambda a: a["changed"]["interventions"][0].pop("index")),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(part, spoil):
    answer = json.loads(TRACE.read_text())
    spoil(answer)
    with pytest.raises(SiteError) as raised:
        require_answer(answer, LanguageModel(n_layers=2, d_ff=1_000))
    assert raised.value.message == f"The trace is not whole ({part}). Try again."


def test_an_answer_is_copied_without_what_is_not_known():
    answer = {**json.loads(TRACE.read_text()), "secret": "x"}
    answer["layers"][0]["dominant"][0]["tokens"][0] = "a\0b" * 200
    kept = require_answer(answer, LanguageModel(n_layers=2, d_ff=1_000))
    assert "secret" not in kept
    token = kept["layers"][0]["dominant"][0]["tokens"][0]
    assert (len(token), "\0" in token) == (200, False)


def test_a_page_takes_few_queries(rosa, able, django_assert_max_num_queries):
    trace = make_trace(requested_by=rosa)
    make_extraction(model=trace.model, layers=1, per_layer=1, kinds=("value",))
    client = client_of(rosa)
    # Session, person, notices; the trace, its content, models and their extractions; what is
    # hidden; lists of vectors, studies and looks; lists for machine annotators.
    with django_assert_max_num_queries(20):
        page_of(trace, client)
    with django_assert_max_num_queries(14):
        client.get("/traces/")


@pytest.mark.django_db
def test_a_page_without_a_model_names_what_is_being_extracted():
    Extraction.objects.create(state="running", model_source="x", title="A model on its way")
    shown = text_of(client_of(UserFactory(role=Role.RESEARCHER)).get("/traces/"))
    assert "There is no model to trace yet" in shown
    assert "A model on its way</bdi> is being extracted." in shown

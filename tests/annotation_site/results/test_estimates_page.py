"""The page of estimates: the headline, its tables, proxies and every state it can be in."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.explorer.picture import model_picture
from annotation_site.proxies import runs, services
from annotation_site.proxies.models import ProxyRun
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.estimates import estimates_shown
from annotation_site.results.snapshots.computation import figures_again
from annotation_site.results.snapshots.services import snapshot_refresh_now
from tests.annotation_site.explorer.places import value_study
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_prefix_study,
    make_proxy_run,
    make_study,
    researcher_of,
    text_of,
)
from tests.annotation_site.proxies.made import make_census, make_estimated_study, make_value_study

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def estimated(store):
    return store(_estimated)


def _estimated():
    study = make_estimated_study(title="Estimated")
    for run in services.study_proxy_request(
        study=study, proxy="machine-affixes", by=researcher_of(study)
    ):
        runs.proxy_work(run_id=run.pk)
    snapshot_refresh_now(study=study)
    return study.pk


@pytest.fixture
def study(estimated, db):
    return Study.objects.get(pk=estimated)


def page(study, path=""):
    return client_of(researcher_of(study)).get(f"/studies/{study.slug}/estimates/{path}")


def test_the_headline_is_a_sentence_with_an_interval_beside_the_classical_one(study):
    text = text_of(page(study))
    (shown,) = estimates_shown(study.snapshots.latest("pk"), study).models
    assert shown.sentence in text
    assert shown.sentence.startswith(
        'Of the top tokens of all 120 value vectors of <bdi class="notranslate" translate="no">'
    )
    assert shown.sentence.endswith(
        "are in a concept, estimated from 30 lists and a proxy that is known of every vector."
    )
    assert f"({shown.proxied.between})" in shown.sentence
    assert shown.classical.between != shown.proxied.between != ""
    assert "narrower than the other" in shown.narrower
    assert (shown.proxied.name, shown.classical.name) == (
        "With the proxy “Coverage by shared affixes”",
        "From the lists alone",
    )
    assert text.index(shown.sentence) < text.index("<table")


def test_tables_say_what_proxies_do_by_category_layer_and_side_by_side(study):
    snapshot = study.snapshots.latest("pk")
    shown = estimates_shown(snapshot, study)
    (model,) = shown.models
    assert [row[0].text for row in model.by_proxy.rows] == [
        "The lists alone",
        "Coverage by shared affixes",
    ]
    width, correlation = (model.by_proxy.rows[1][n].text for n in (2, 3))
    assert 0 < float(width) < 1
    assert float(correlation) > 0.5
    assert [row[0].text for row in model.by_measure.rows] == [
        "Coverage",
        *(f"Coverage: {one}" for one in study.categories),
        "With stopwords concepts",
        "Concepts per list",
        "Concepts per list, with stopwords concepts",
    ]
    names = [row[0].text for table in model.by_layers for row in table.rows]
    assert names == ["Layer 0", "Layer 1", "Layer 2"]  # each without an interval, says a warning
    assert model.by_layers[0].rows[0][1].between == ""
    assert [row[0].text for row in shown.differences.rows] == ["Value minus random"]
    for name in ("estimates", "estimate_differences"):
        file = client_of(researcher_of(study)).get(f"/studies/{study.slug}/results/{name}.csv")
        assert file.status_code == 200


def test_the_figure_says_both_estimates_of_each_layer(study):
    snapshot = study.snapshots.latest("pk")
    figure = snapshot.figures["estimates-across-layers-0"]
    assert figure["table"] == "estimates"
    assert "layer 2, the lists alone:" in figure["alt"]
    assert "layer 2, with" not in figure["alt"]  # a layer alone has too few lists for a proxy
    assert "All layers, with Coverage by shared affixes:" in figure["alt"]
    assert "estimates-across-layers-0.svg" in text_of(page(study))


def test_only_what_is_new_is_sent_while_something_is_computed(study):
    key = page(study).context["key"]
    assert page(study, f"status/?have={key}").status_code == 204
    ProxyRun.objects.update(state="running", done=30)
    response = page(study, f"status/?have={key}")
    text = text_of(response)
    assert response.status_code == 200
    assert "30 of 120 vectors" in text
    assert "No worker is running" in text
    assert 'hx-trigger="every 2s"' in text
    ProxyRun.objects.update(state="failed", error="The worker had a cold.")
    text = text_of(page(study))
    assert "The worker had a cold." in text
    assert "Compute<span" in text


def test_queries_of_the_page(study, django_assert_max_num_queries):
    client = client_of(researcher_of(study))
    client.get(f"/studies/{study.slug}/estimates/")
    # Session and person, study, its extractions, those of the model, runs with their people, data
    # version, newest tables, tables on their way, workers; the rest is the page around.
    with django_assert_max_num_queries(18):
        client.get(f"/studies/{study.slug}/estimates/")


def with_groups(snapshot):
    """Give the stored table intervals: of layers 0 and 1 together, and of layer 2 alone."""
    table = snapshot.tables["estimates"]
    names = [name for name, _ in table["columns"]]
    model = table["rows"][0][0]
    for proxy in ("", "machine-affixes"):
        for first, last, value in ((0, 1, 0.3), (2, 2, 0.4)):
            row = {"model": model, "layer_from": first, "layer_to": last, "measure": "coverage",
                   "proxy": proxy, "value": value, "low": value - 0.1, "high": value + 0.1,
                   "lists": 30, "vectors": 80}  # fmt: skip
            table["rows"] = [
                other
                for other in table["rows"]
                if [other[names.index(key)] for key in list(row)[:5]] != list(row.values())[:5]
            ] + [[row.get(name) for name in names]]
    snapshot.save()


def test_groups_of_layers_come_first_in_page_and_figure(study):
    snapshot = study.snapshots.latest("pk")
    with_groups(snapshot)
    groups, layers = estimates_shown(snapshot, study).models[0].by_layers
    assert [[cell.text for cell in row] for row in groups.rows] == [
        ["Layers 0 to 1", "30.0%", "30.0%", "30"]
    ]
    assert groups.rows[0][1].between == "20.0 to 40.0%"
    assert [row[0].text for row in layers.rows] == ["Layer 0", "Layer 1", "Layer 2"]
    figures, files = figures_again(study, snapshot.tables, ["svg"])
    alt = figures["estimates-across-layers-0"]["alt"]
    assert "layers 0 to 1, the lists alone: 30.0% (95% from 20.0% to 40.0%), 30 lists." in alt
    assert "layer 2" not in alt
    assert b"0\xe2\x80\x931" in files["estimates-across-layers-0", "svg"]


def test_a_finished_study_s_estimates_stand_in_the_picture_unless_something_is_hidden(study):
    extraction = study.extractions.get()
    reader = UserFactory(role=Role.RESEARCHER)
    assert model_picture(extraction, researcher_of(study)).estimates is None  # it is not finished
    Study.objects.filter(pk=study.pk).update(state="closed")
    # No layer has an interval of its own here.
    assert model_picture(extraction, reader).estimates is None
    with_groups(study.snapshots.latest("pk"))
    assert [bar.estimate for bar in model_picture(extraction, reader).layers] == [0.3, 0.3, 0.4]
    text = text_of(client_of(reader).get(reverse("explorer:picture", args=[extraction.public_id])))
    assert "estimates of coverage for all value vectors" in text
    value_study(extraction, people=[reader], title="Open")
    hidden = model_picture(extraction, reader)
    assert [bar.estimate for bar in hidden.layers] == [None] * 3
    assert hidden.estimates is None


@pytest.fixture
def fresh():
    """A study without an annotation, of a model with every value vector."""
    return make_value_study()


def test_without_annotations_a_proxy_can_be_chosen_and_computed(fresh, messages):
    text = text_of(page(fresh))
    assert "No annotations yet" in text
    assert "Choose the proxy before you look" in text
    assert "</bdi> has value statistics" in text
    client = client_of(researcher_of(fresh))
    response = client.post(
        f"/studies/{fresh.slug}/estimates/compute/", {"proxy": "machine-affixes"}, follow=True
    )
    run = fresh.extractions.get().proxy_runs.get()
    assert messages == [("proxy_work", run.pk)]
    text = text_of(response)
    assert f'action="/studies/{fresh.slug}/estimates/{run.public_id}/cancel/"' in text
    assert f">{researcher_of(fresh).username}</bdi>" in text
    client.post(f"/studies/{fresh.slug}/estimates/{run.public_id}/cancel/")
    run.refresh_from_db()
    assert run.state == "cancelled"
    # Somebody else's cannot be cancelled.
    other = make_proxy_run(
        fresh,
        proxy="machine-hypernyms",
        state="queued",
        requested_by=UserFactory(role="researcher"),
    )
    assert (
        client.post(f"/studies/{fresh.slug}/estimates/{other.public_id}/cancel/").status_code == 403
    )
    assert str(other.public_id) not in text_of(page(fresh))


def test_a_model_without_every_vector_says_what_to_do():
    text = text_of(page(make_study()))
    assert "cannot be used" in text
    assert "no list of every value vector" in text
    assert "Compute<span" not in text


def test_a_study_without_value_vectors_has_nothing_to_estimate():
    assert "Nothing to estimate" in text_of(page(make_prefix_study()))


def test_a_person_s_computations_are_bounded(fresh, monkeypatch):
    monkeypatch.setattr(services, "MOST_UNFINISHED", 1)
    client = client_of(researcher_of(fresh))
    url = f"/studies/{fresh.slug}/estimates/compute/"
    assert client.post(url, {"proxy": "machine-affixes"}).status_code == 302
    assert client.post(url, {"proxy": "machine-affixes"}).status_code == 302  # the same one
    refused = client.post(url, {"proxy": "machine-hypernyms"})
    assert refused.status_code == 422
    assert "1 of your proxies are waiting" in text_of(refused)


def test_tables_of_an_older_version_are_computed_again(study):
    Snapshot.objects.update(tables={}, measures_version=1)
    assert "The estimates are being computed" in text_of(page(study))


def estimate(*given):
    out = StringIO()
    call_command("estimate", *given, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_computes_what_is_missing_and_prints_a_table(study):
    ProxyRun.objects.all().delete()
    said = estimate(study.slug, "--proxy", "machine-affixes")
    assert ProxyRun.objects.get().state == "ready"
    lines = said.splitlines()
    assert lines[0].endswith(": estimates for all 120 value vectors")
    assert lines[1].split() == [
        "layers", "measure", "proxy", "value", "95%", "interval", "width", "corr.", "lists",
    ]  # fmt: skip
    assert lines[2].split()[:4] == ["all", "coverage", "none", "(classical)"]
    assert any("machine-affixes" in line and " to " in line for line in lines)
    assert "value minus" in said
    tables = json.loads(estimate(study.slug, "--proxy", "machine-affixes", "--json"))
    assert {row["proxy"] for row in tables["estimates"]} == {"", "machine-affixes"}
    assert list(tables) == ["estimates", "estimate_differences"]
    with pytest.raises(CommandError, match=r"No extraction of model-.* has value statistics"):
        estimate(study.slug, "--proxy", "kurtosis")


def test_the_command_refuses_in_a_sentence(fresh):
    for given, sentence in (
        (["nothing"], "There is no study “nothing”"),
        ([fresh.slug, "--proxy", "luck"], "There is no proxy “luck”"),
        ([fresh.slug], "has no annotations yet"),
        ([make_prefix_study().slug], "no lists of value vectors"),
    ):
        with pytest.raises(CommandError, match=sentence):
            estimate(*given)


def test_the_api_lists_computes_and_cancels_proxies(messages):
    study = make_value_study(make_census(statistics=True))
    client = client_of(researcher_of(study))
    url = f"/api/studies/{study.slug}/proxies"
    found = client.get(url).json()
    assert [(one["name"], one["models"][0]["state"]) for one in found["results"]] == [
        ("machine-hypernyms", "possible"),
        ("machine-affixes", "possible"),
        ("kurtosis", "known"),
        ("skew", "known"),
        ("norm", "known"),
    ]
    refused = client.post(url, {"proxy": "kurtosis"}, content_type="application/json")
    assert refused.status_code == 400
    asked = client.post(url, {"proxy": "machine-affixes"}, content_type="application/json")
    assert asked.status_code == 202
    (run,) = asked.json()["runs"]
    assert (run["state"], run["done"], run["total"], run["min_tokens"]) == ("queued", 0, 24, 4)
    one = f"{url}/{run['id']}"
    assert client.get(one).json() == run
    assert client.delete(one).status_code == 204
    assert client.get(one).json()["state"] == "cancelled"
    # Studies of other models have nothing to do with it.
    other = make_value_study()
    foreign = client_of(researcher_of(other))
    assert foreign.get(f"/api/studies/{other.slug}/proxies/{run['id']}").status_code == 404

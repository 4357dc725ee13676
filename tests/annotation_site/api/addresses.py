"""The API's addresses: who may GET them, and what stands in them."""

from typing import Any

from annotation_site.corpus.models import VectorSet
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.measurements.models import Measurement
from annotation_site.proxies.models import ProxyRun
from annotation_site.traces.models import Trace

ANYBODY = (401, 200, 200, 200, 200, 200)
ANNOTATOR = (401, 404, 200, 404, 404, 404)
RESEARCHER = (401, 403, 403, 200, 200, 200)
OWN_STUDY = (401, 403, 403, 404, 200, 200)
ADMIN = (401, 403, 403, 403, 403, 200)
NO_GET = (401, 405, 405, 405, 405, 405)

# Statuses of GET for: stranger, annotator of another study, the list's own annotator, another
# study's researcher, the study's researcher, admin.
GET = {
    "api:list": ANNOTATOR,
    "api:draft": ANNOTATOR,
    "api:submit": NO_GET,
    "api:skip": NO_GET,
    "api:feedback": (401, 404, 404, 404, 404, 404),  # the world's list is no training
    "api:work": ANYBODY,
    "api:work_detail": ANNOTATOR,
    "api:consent": NO_GET,
    "api:next": NO_GET,
    "api:own_lists": ANNOTATOR,
    "api:hours": ANYBODY,
    "api:hours_file": ANYBODY,
    "api:me": ANYBODY,
    "api:tokens": ANYBODY,
    "api:token": NO_GET,
    "api:annotators": RESEARCHER,
    "api:people": ADMIN,
    "api:person": ADMIN,
    "api:role": NO_GET,
    "api:access": NO_GET,
    "api:erase": NO_GET,
    "api:invitations": RESEARCHER,
    "api:invitation": NO_GET,
    "api:log": ADMIN,
    "api:models": ADMIN,
    "api:extractions": RESEARCHER,
    "api:upload": NO_GET,
    "api:open_links": OWN_STUDY,
    "api:open_link": OWN_STUDY,
    "api:open_link_state": NO_GET,
    "api:corpora": RESEARCHER,
    "api:corpus": NO_GET,
    "api:estimates": NO_GET,
    "api:workers": ADMIN,
    "api:extraction": ADMIN,
    "api:cancel": NO_GET,
    "api:retry": NO_GET,
    "api:extraction_log": ADMIN,
    "api:manifest": (401, 403, 403, 403, 403, 404),  # the world's was never written
    "api:vectors": RESEARCHER,
    "api:vocabulary_token": RESEARCHER,
    "api:picture": RESEARCHER,
    "api:neuron": RESEARCHER,
    "api:all_vectors": RESEARCHER,
    "api:all_vectors_file": RESEARCHER,
    "api:sets": RESEARCHER,
    "api:set": RESEARCHER,
    "api:set_file": RESEARCHER,
    "api:measurements": RESEARCHER,
    "api:measurable_models": RESEARCHER,
    "api:measurement_estimates": NO_GET,
    "api:measurement": RESEARCHER,
    "api:measurement_cancel": NO_GET,
    "api:measurement_retry": NO_GET,
    "api:measurement_log": RESEARCHER,
    "api:measurement_table": RESEARCHER,
    "api:measurement_file": RESEARCHER,
    "api:side_by_side": RESEARCHER,
    "api:traces": RESEARCHER,
    "api:trace": OWN_STUDY,
    "api:previews": NO_GET,
    "api:studies": RESEARCHER,
    "api:study": OWN_STUDY,
    "api:state": NO_GET,
    "api:extend": NO_GET,
    "api:duplicate": NO_GET,
    "api:texts": OWN_STUDY,
    "api:study_people": OWN_STUDY,
    "api:study_person": NO_GET,
    "api:release": NO_GET,
    "api:let_in": NO_GET,
    "api:progress": OWN_STUDY,
    "api:flags": OWN_STUDY,
    "api:payments": OWN_STUDY,
    "api:study_lists": OWN_STUDY,
    "api:study_list": (401, 403, 403, 404, 422, 200),  # the researcher can adjudicate it blind
    "api:look": NO_GET,
    "api:references": OWN_STUDY,
    "api:adjudication": OWN_STUDY,
    "api:adjudicate": NO_GET,
    "api:adjudicated": OWN_STUDY,
    "api:items": OWN_STUDY,
    "api:assignments": OWN_STUDY,
    "api:annotations": OWN_STUDY,
    "api:results": OWN_STUDY,
    "api:retry_results": NO_GET,
    "api:snapshots": OWN_STUDY,
    "api:snapshot": OWN_STUDY,
    "api:figures": OWN_STUDY,
    "api:figure": OWN_STUDY,
    "api:exports": OWN_STUDY,
    "api:export_state": OWN_STUDY,
    "api:export_file": OWN_STUDY,
    "api:proxies": OWN_STUDY,
    "api:proxy": OWN_STUDY,
    "api:machine_prompt": OWN_STUDY,
    "api:machine_forecast": (401, 403, 403, 404, 422, 422),  # no language model is set up
    "api:machine_runs": OWN_STUDY,
    "api:machine_run": OWN_STUDY,
    "api:machine_run_continue": NO_GET,
    "api:machine_run_delete": NO_GET,
    "api:machine_exchanges": OWN_STUDY,
    "api:publication": OWN_STUDY,
    "api:table": OWN_STUDY,
    "api:export": OWN_STUDY,
    "api:schema": (200, 200, 200, 200, 200, 200),
    "api:nowhere": (404, 404, 404, 404, 404, 404),
}

OF_A_LIST = {"list", "draft", "submit", "skip", "feedback"}
OF_AN_EXTRACTION = {
    "extraction", "cancel", "retry", "extraction_log", "manifest", "vectors", "picture",
}  # fmt: skip
OF_A_MEASUREMENT = {
    "measurement", "measurement_cancel", "measurement_retry", "measurement_log",
}  # fmt: skip
OF_A_PERSON = {"person", "role", "access", "erase"}
OF_A_STUDY = {
    "work_detail", "consent", "next", "own_lists", "study", "state", "extend", "duplicate",
    "texts", "study_people", "items", "assignments", "annotations", "results",
    "progress", "flags", "payments", "open_links", "study_lists", "references", "adjudication",
    "retry_results",
    "snapshots", "figures", "exports", "publication", "proxies",
    "machine_prompt", "machine_forecast", "machine_runs",
}  # fmt: skip


def newest(rows: Any, field: str, nobodys: Any) -> Any:
    """Of the last row that was made; where there is none, what nothing has."""
    return rows.order_by("-pk").values_list(field, flat=True).first() or nobodys


def measurement(assignment: Any) -> dict[str, Any]:
    """The newest measurement; in a world without one, what nothing has."""
    return {"public_id": newest(Measurement.objects, "public_id", assignment.public_id)}


def vector_set(assignment: Any) -> dict[str, Any]:
    """The newest set of vectors; in a world without one, what nothing has."""
    return {"public_id": newest(VectorSet.objects, "public_id", assignment.public_id)}


def trace(assignment: Any) -> dict[str, Any]:
    """The newest trace; in a world without one, what nothing has."""
    return {"public_id": newest(Trace.objects, "public_id", assignment.public_id)}


def proxy(study: Any, assignment: Any) -> dict[str, Any]:
    """The newest run of a proxy; in a world without one, what nothing has."""
    found = newest(ProxyRun.objects, "public_id", assignment.public_id)
    return {"slug": study.slug, "public_id": found}


def machine_run(study: Any, assignment: Any) -> dict[str, Any]:
    """The newest run of a language model; in a world without one, what nothing has."""
    found = newest(MachineRun.objects, "public_id", assignment.public_id)
    return {"slug": study.slug, "public_id": found}


def kwargs(name: str, study: Any, assignment: Any) -> dict[str, Any]:
    """What stands in the address, for the world of the permission tests."""
    name = name.removeprefix("api:")
    person = assignment.membership.user.public_id
    slug = {"slug": study.slug}
    extraction = {"public_id": assignment.item.vector.extraction.public_id}
    link = {**slug, "public_id": newest(study.open_links, "public_id", assignment.public_id)}
    export = {**slug, "public_id": newest(study.exports, "public_id", assignment.public_id)}
    if name in OF_A_LIST:
        return {"public_id": assignment.public_id}
    if name in OF_AN_EXTRACTION:
        return extraction
    if name in OF_A_MEASUREMENT:
        return measurement(assignment)
    if name in OF_A_PERSON:
        return {"public_id": person}
    if name in OF_A_STUDY:
        return slug
    return {
        "vocabulary_token": {**extraction, "token_id": 1},
        "all_vectors_file": {"extension": "csv"},
        "set": vector_set(assignment),
        "set_file": {**vector_set(assignment), "extension": "csv"},
        "neuron": {**extraction, "layer": 0, "index": 0},
        "measurement_table": {**measurement(assignment), "table": "saturation"},
        "measurement_file": {**measurement(assignment), "name": "saturation.csv"},
        "side_by_side": {
            **measurement(assignment),
            "other": measurement(assignment)["public_id"],
        },
        "trace": trace(assignment),
        "proxy": proxy(study, assignment),
        **{
            f"machine_{name}": machine_run(study, assignment)
            for name in ("run", "run_continue", "run_delete", "exchanges")
        },
        "token": {"public_id": assignment.public_id},
        "corpus": {"public_id": assignment.public_id},
        "invitation": {"public_id": assignment.public_id},
        "study_person": {**slug, "public_id": person},
        "release": {**slug, "public_id": person},
        "let_in": {**slug, "public_id": person},
        "adjudicate": {**slug, "item": assignment.item_id},
        "study_list": {**slug, "number": assignment.item_id},
        "look": {**slug, "number": assignment.item_id},
        "adjudicated": {**slug, "extension": "csv"},
        "hours_file": {"extension": "csv"},
        "snapshot": {**slug, "snapshot": newest(study.snapshots, "pk", 1)},
        "figure": {**slug, "name": "coverage-across-layers-0", "extension": "svg"},
        "open_link": link,
        "open_link_state": link,
        "export_state": export,
        "export_file": export,
        "table": {**slug, "table": "coverage"},
        "export": {**slug, "table": "coverage", "extension": "csv"},
        "nowhere": {"rest": "no/such/thing"},
    }.get(name, {})

"""Services of proxies: request, claim, report, keep a layer, end, cancel, tell studies."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

import numpy as np
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from numpy.typing import NDArray

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import tables_touch
from annotation_site.annotation.models import Study
from annotation_site.corpus.censuses import has_all_lists, ready_of, sizes_of_lists
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.proxies.census import (
    complete_census,
    has_statistics,
)
from annotation_site.proxies.models import UNFINISHED, KnownOfModel, ProxyLayer, ProxyRun
from annotation_site.proxies.registry import PROXIES, Proxy
from annotation_site.workers import claims
from annotation_site.workers.claims import Failure, has_work, report, wake
from annotation_site.workers.queues import EXTRACTION_QUEUE

State = ProxyRun.State
MOST_UNFINISHED = 10  # of one person
MOST_OF_EXTRACTION = 40  # at work, or with layers; a study has one minimum of tokens
FAILURES_STAY = timedelta(days=1)  # so that somebody can read the reason
ARCHIVED = {"archived_titles": "titles", "archived_missing": "missing"}  # pairs by proxy's name
NO_VALUE_LISTS = gettext_noop(
    "The study has no lists of value vectors, so nothing is estimated of all value vectors."
)


def proxy_named(name: str) -> Proxy:
    """The proxy of that name. Raises Invalid, which lists all."""
    if name not in PROXIES:
        raise Invalid(
            gettext("There is no proxy “%(name)s”. There are: %(names)s.")
            % {"name": name[:60], "names": ", ".join(PROXIES)}
        )
    return PROXIES[name]


def value_extractions(study: Study) -> list[Extraction]:
    """The extractions from which a study has lists of value vectors; none of trigger prefixes.

    One that came with an archive has what the archive says of proxies under the names ARCHIVED.
    """
    if study.list_source != Study.ListSource.TOP_TOKENS or Kind.VALUE not in study.kinds:
        return []
    found = study.extractions.select_related("model")
    found = found.defer("manifest", "plan", "environment", "restored")
    # Not the archive's numbers themselves, which may be megabytes.
    archived = {name: F(f"restored__proxies__{key}") for name, key in ARCHIVED.items()}
    return list(found.annotate(**archived).order_by("pk"))


@transaction.atomic
def study_proxy_request(*, study: Study, proxy: str, by: User | None = None) -> list[ProxyRun]:
    """Request a proxy for every value vector of a study's models; a worker computes it.

    Returns the runs, one for each model, also those that are ready or at work already: asking again
    does nothing to them. A failed or cancelled one continues where it stood. A model of which not
    every vector is here has no run. Raises Invalid for a proxy that does not exist or needs no
    computation, a study without lists of value vectors, where no model has every vector here, and
    beyond MOST_UNFINISHED of one person; NotAllowed for a person who is no researcher.
    """
    wanted = proxy_named(proxy)
    if by is not None:
        if not by.is_researcher:
            raise NotAllowed(gettext("Only researchers and admins compute proxies."))
        User.objects.select_for_update().get(pk=by.pk)  # two at once wait for each other
    if not wanted.is_computed:
        raise Invalid(
            gettext("“%(proxy)s” comes with a model’s bundle, so there is nothing to compute.")
            % {"proxy": gettext(wanted.title)}
        )
    extractions = value_extractions(study)
    if not extractions:
        raise Invalid(gettext(NO_VALUE_LISTS))
    here = list(ready_of({one.model.weights_digest for one in extractions if one.model}))
    censuses, reasons = set(), []
    for one in extractions:
        try:
            censuses.add(complete_census(one, wanted, here))
        except Invalid as error:
            reasons.append(error)
    if not censuses:
        raise reasons[0]
    runs = [
        _request(extraction, wanted, study.min_tokens, by)
        for extraction in sorted(censuses, key=lambda one: one.pk)
    ]
    wake(EXTRACTION_QUEUE)
    return runs


def _request(extraction: Extraction, proxy: Proxy, min_tokens: int, by: User | None) -> ProxyRun:
    # Under the lock of the extraction nobody deletes it, and two requests make one row.
    locked = Extraction.objects.select_for_update().get(pk=extraction.pk)
    if locked.state != Extraction.State.READY:
        raise Invalid(gettext("The extraction is being deleted. Reload the page."))
    found = ProxyRun.objects.filter(
        extraction=extraction, proxy=proxy.name, min_tokens=min_tokens
    ).first()
    if found is not None and (found.is_ready or found.is_unfinished):
        return found
    total = sum(sizes_of_lists(extraction).values())
    _require_turn(extraction, by, is_new=found is None)
    if found is None:
        found = ProxyRun(extraction=extraction, proxy=proxy.name, min_tokens=min_tokens)
    found.state, found.error, found.attempts, found.total = State.QUEUED, "", 0, total
    found.requested_by, found.requested_at, found.finished_at = by, timezone.now(), None
    found.claim, found.enqueued_at = None, None
    found.save()
    audit.record("proxy_requested", target=found, actor=by, proxy=proxy.name, min_tokens=min_tokens)
    return found


def _require_turn(extraction: Extraction, by: User | None, *, is_new: bool) -> None:
    if by is not None:
        mine = ProxyRun.objects.filter(requested_by=by, state__in=UNFINISHED)
        if mine.count() >= MOST_UNFINISHED:
            raise Invalid(
                gettext(
                    "%(most)s of your proxies are waiting or being computed, which is the limit "
                    "for one person. Continue when some are ready, or cancel some."
                )
                % {"most": MOST_UNFINISHED}
            )
    if not is_new:
        return
    _forget_ended(extraction)
    empty = extraction.proxy_runs.filter(layers=None).exclude(state__in=UNFINISHED)
    if extraction.proxy_runs.exclude(pk__in=empty.values("pk")).count() >= MOST_OF_EXTRACTION:
        raise Invalid(
            gettext(
                "“%(extraction)s” has %(most)s computed proxies, which is the limit. Use a minimum "
                "of tokens for which one is there."
            )
            % {"extraction": extraction, "most": MOST_OF_EXTRACTION}
        )


def _forget_ended(extraction: Extraction) -> None:
    """Delete cancelled runs without a layer, and old failed ones, under the extraction's lock.

    Nothing is lost with them: such a proxy is as one that nobody asked for.
    """
    ended = Q(state=State.CANCELLED) | Q(
        state=State.FAILED, finished_at__lt=timezone.now() - FAILURES_STAY
    )
    extraction.proxy_runs.filter(ended, layers=None).delete()


def may_change(run: ProxyRun, person: User) -> bool:
    """Whether the person may cancel the run."""
    return person.is_admin or (person.is_researcher and run.requested_by_id == person.pk)


@transaction.atomic
def proxy_cancel(*, run: ProxyRun, by: User) -> None:
    """Cancel a run that waits or is at work; layers that are done are kept.

    Does nothing to one that has ended. One without a layer is forgotten as soon as a new one of
    the extraction is asked for. Raises NotAllowed for anybody but the person who asked for it and
    admins.
    """
    if not may_change(run, by):
        raise NotAllowed(
            gettext("Only an admin, or the person who asked for it, can cancel this computation.")
        )
    ended = ProxyRun.objects.filter(pk=run.pk, state__in=UNFINISHED).update(
        state=State.CANCELLED, claim=None, finished_at=timezone.now()
    )
    if ended:
        audit.record("proxy_cancelled", target=run, actor=by, proxy=run.proxy)
    run.refresh_from_db()


def proxy_claim(*, run_id: int, in_worker: bool = True) -> ProxyRun | None:
    """Claim a waiting run for this process; None if it is no longer waiting.

    None, too, while this worker extracts, measures or traces something in another child. A command
    is no worker.
    """
    if in_worker and has_work(EXTRACTION_QUEUE):
        return None
    return claims.claim(
        ProxyRun.waiting(), run_id, state=State.RUNNING, started_at=timezone.now(), error=""
    )


def layers_done(run: ProxyRun) -> set[int]:
    """The layers whose values are kept."""
    return set(run.layers.values_list("layer", flat=True))


def proxy_report(*, run: ProxyRun, done: int, total: int) -> None:
    """Write progress and a heartbeat. Raises ClaimLost if the claim is lost."""
    report(run, done=done, total=total)


@transaction.atomic
def proxy_keep_layer(*, run: ProxyRun, layer: int, values: NDArray[np.float32]) -> None:
    """Keep the values of a layer. Raises ClaimLost if the claim is lost: then nothing is kept."""
    kept = run.layers.aggregate(vectors=Sum("vectors"))["vectors"] or 0
    report(run, done=kept + len(values))
    ProxyLayer.objects.create(
        run=run,
        layer=layer,
        vectors=len(values),
        mean=float(values.astype(np.float64).mean()),
        packed=values.astype("<f4").tobytes(),
    )


@transaction.atomic
def proxy_finish(*, run: ProxyRun) -> None:
    """Mark a run as ready, and have the tables of the model's studies computed again.

    Raises ClaimLost if the claim is lost.
    """
    report(run, state=State.READY, claim=None, done=run.total, finished_at=timezone.now())
    studies_tell()


def proxy_fail(run: ProxyRun, reason: Failure) -> None:
    """End a run with a sentence, unless the claim is lost."""
    claims.fail(run, reason)


def studies_tell() -> int:
    """Mark the tables of studies as stale where another census of their model is known than before.

    That is after a run became ready, and after an extraction with a census came or went. Returns
    the number of studies.

    Safe in several processes at once: each reads what was told before it looks at what is known,
    and writes only over what it read. So nobody puts older knowledge over newer; a process that
    another overtook tells nothing, and the next sweep tells what is left.
    """
    before = dict(KnownOfModel.objects.values_list("weights_digest", "known"))
    now = _known_now()
    told = 0
    for weights in sorted(set(now) | set(before)):
        if now.get(weights) != before.get(weights):
            told += _tell(weights, before.get(weights), now.get(weights))
    return told


@transaction.atomic
def _tell(weights: str, before: str | None, known: str | None) -> int:
    """Remember what is known of a model, and mark its studies' tables as stale.

    Does neither where another process wrote something else than `before` since.
    """
    if not _remembered(weights, before, known):
        return 0
    studies = Study.objects.filter(
        pk__in=Study.objects.filter(extractions__model__weights_digest=weights).values("pk")
    ).exclude(state=Study.State.DELETING)
    found = list(studies.only("pk").order_by("pk"))
    for study in found:
        tables_touch(study)
    return len(found)


def _remembered(weights: str, before: str | None, known: str | None) -> bool:
    """Whether what was `before` could be replaced; None is nothing known."""
    row = KnownOfModel.objects.filter(weights_digest=weights, known=before)
    if known is None:
        return row.delete()[0] > 0
    if before is None:
        return KnownOfModel.objects.get_or_create(
            weights_digest=weights, defaults={"known": known}
        )[1]
    return row.update(known=known) > 0


def _known_now() -> dict[str, str]:
    """By a model's weights, a digest of its ready extractions with a census and its ready runs."""
    facts: defaultdict[str, list[list[object]]] = defaultdict(list)
    ready = Extraction.objects.filter(
        Q(parameters__per_layer="all") | Q(counts__value_statistics__gt=0),
        state=Extraction.State.READY,
        restored__isnull=True,
        model__isnull=False,
    )
    light = ready.select_related("model").defer("manifest", "plan", "environment", "restored")
    for one in light.order_by("pk"):
        if one.model is not None and (has_all_lists(one) or has_statistics(one)):
            facts[one.model.weights_digest].append(["extraction", one.pk])
    runs = ProxyRun.objects.filter(state=State.READY, extraction__state=Extraction.State.READY)
    for weights, pk in runs.order_by("pk").values_list("extraction__model__weights_digest", "pk"):
        facts[weights].append(["run", pk])
    return {weights: _digest(found) for weights, found in facts.items()}


def _digest(facts: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(facts)).encode()).hexdigest()

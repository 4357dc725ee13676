"""Services of language models as annotators: request a run, cancel, continue and delete it."""

import re
from decimal import Decimal

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS, PREFIX
from annotation_site.annotation.allocation.slots import study_locked, tables_touch
from annotation_site.annotation.models import Study
from annotation_site.errors import Invalid
from annotation_site.machine_annotators.answerers import Configured, configured
from annotation_site.machine_annotators.limits import (
    LEAST_REPLY_TOKENS,
    MOST_SEED,
    limits_checked,
    require_budget,
    spent_already,
    temperature_checked,
    whole_number,
)
from annotation_site.machine_annotators.models import UNFINISHED, MachineRun
from annotation_site.machine_annotators.prompts import (
    guidelines_current,
    prompt_current,
    prompt_save,
    require_runs_study,
)
from annotation_site.machine_annotators.selectors import rules_of, vectors_covered, vectors_left
from annotation_site.workers.claims import wake
from annotation_site.workers.queues import EXTRACTION_QUEUE

__all__ = [
    "exchanges_delete",
    "prompt_current",
    "prompt_save",
    "run_cancel",
    "run_continue",
    "run_delete",
    "run_request",
]

State = MachineRun.State
MOST_UNFINISHED = 3  # of one person
MOST_OF_STUDY = 10
NAME_LENGTH = 50  # leaves room for a number


@transaction.atomic
def run_request(
    *,
    study: Study,
    by: User | None,
    covers: str,
    temperature: float,
    seed: int,
    most_reply_tokens: int,
    most_requests: int,
    most_tokens: int,
    most_cost: Decimal | None,
) -> MachineRun:
    """Request that the site's language model annotates a study's lists; a worker does it.

    The run keeps the prompt, guidelines and rules of now. Raises Invalid where no language model is
    set up, for a study that is archived or has no lists, where not every value vector is here that
    `covers` asks for, for a number out of bounds, where the limit of cost could exceed the site's
    budget, and beyond MOST_OF_STUDY and MOST_UNFINISHED; NotAllowed for a person who does not run
    the study; NotFound for one that is being deleted.
    """
    require_runs_study(study, by)
    found = require_configured()
    _wait_for_others(by)
    study = _study(study.pk)
    if covers not in MachineRun.Covers.values:
        raise Invalid(
            gettext("A run covers one of: %(choices)s.")
            % {"choices": ", ".join(MachineRun.Covers.values)}
        )
    limits = limits_checked(
        found, most_requests=most_requests, most_tokens=most_tokens, most_cost=most_cost
    )
    reply_tokens = whole_number(
        gettext("The length of a reply in tokens"),
        most_reply_tokens,
        LEAST_REPLY_TOKENS,
        found.most_reply_tokens,
    )
    total = vectors_covered(study, covers).count()
    if not total:
        raise Invalid(gettext("The study has no lists yet. Draw its lists first."))
    _require_turn(study, by)
    require_budget(found, limits.cost)
    run = MachineRun.objects.create(
        study=study,
        name=_free_name(study, found.model),
        covers=covers,
        model=found.model,
        endpoint=found.endpoint_host,
        prompt_version=prompt_current(study)[0],
        guidelines_version=guidelines_current(study)[0],
        rules=rules_of(study),
        temperature=temperature_checked(temperature),
        seed=whole_number(gettext("The seed"), seed, 0, MOST_SEED),
        most_reply_tokens=reply_tokens,
        price_input=found.price_input,
        price_output=found.price_output,
        currency=found.currency if limits.cost is not None else "",
        most_requests=limits.requests,
        most_tokens=limits.tokens,
        most_cost=limits.cost,
        total=total,
        requested_by=by,
    )
    audit.record(
        "machine_annotator_requested",
        target=run,
        actor=by,
        study=study.slug,
        name=run.name,
        covers=covers,
        lists=total,
    )
    wake(EXTRACTION_QUEUE)
    return run


def require_configured() -> Configured:
    """The language model that the site's settings name. Raises Invalid where they name none."""
    found = configured()
    if found is None:
        raise Invalid(
            gettext(
                "No language model is set up on this site. The admin sets one with LLM_MODEL and, "
                "unless it runs on the site’s own workers, LLM_ENDPOINT."
            )
        )
    return found


@transaction.atomic
def run_cancel(*, run: MachineRun, by: User | None) -> None:
    """Cancel a run that waits or is at work; what it has is kept, and it can be continued.

    A no-op for one that has ended. Raises NotAllowed for a person who does not run its study.
    """
    require_runs_study(run.study, by)
    ended = MachineRun.objects.filter(pk=run.pk, state__in=UNFINISHED).update(
        state=State.CANCELLED, claim=None, finished_at=timezone.now()
    )
    if ended:
        audit.record("machine_annotator_cancelled", target=run, actor=by, study=run.study.slug)
    run.refresh_from_db()


@transaction.atomic
def run_continue(
    *,
    run: MachineRun,
    by: User | None,
    most_requests: int | None = None,
    most_tokens: int | None = None,
    most_cost: Decimal | None = None,
) -> MachineRun:
    """Let a run that has ended go on with the lists that it has not annotated.

    These are what a limit, a failure or a person left, or lists that the study drew later. Limits
    count from the run's beginning; None keeps one. Raises Invalid for a run that is at work, has
    nothing to do, came with an archive, was asked of another model or under other rules than those
    of now, or has reached a limit; and as `run_request` for budget and numbers. Raises NotAllowed
    for a person who does not run its study.
    """
    require_runs_study(run.study, by)
    found = require_configured()
    _wait_for_others(by)
    study = _study(run.study_id)
    run = MachineRun.objects.select_for_update().get(pk=run.pk)
    if run.is_unfinished:
        raise Invalid(gettext("The run is at work already. Wait until it ends, or cancel it."))
    _require_same(run, study, found)
    left = vectors_left(run).count()
    if not left:
        raise Invalid(gettext("The run has annotated all lists. There is nothing to continue."))
    limits = limits_checked(
        found,
        most_requests=run.most_requests if most_requests is None else most_requests,
        most_tokens=run.most_tokens if most_tokens is None else most_tokens,
        most_cost=run.most_cost if most_cost is None else most_cost,
    )
    changes = spent_already(run, limits)
    _require_turn(study, by, is_new=False)
    require_budget(found, limits.cost - run.cost if limits.cost is not None else None)
    was_ready = run.is_ready
    for name, value in changes.items():
        setattr(run, name, value)
    run.price_input, run.price_output = found.price_input, found.price_output
    run.currency = found.currency if limits.cost is not None else ""
    run.state, run.error, run.attempts, run.claim = State.QUEUED, "", 0, None
    run.enqueued_at, run.finished_at, run.queued_at = None, None, timezone.now()
    run.total = run.annotations.count() + left
    run.save()
    if was_ready:  # tables use ready runs only
        tables_touch(study)
    audit.record("machine_annotator_continued", target=run, actor=by, study=study.slug, lists=left)
    wake(EXTRACTION_QUEUE)
    return run


@transaction.atomic
def run_delete(*, run: MachineRun, by: User | None) -> None:
    """Delete a run with its annotations and exchanges; tables are computed without it.

    What it spent stays in the site's budget. Raises Invalid for a run that waits or is at work,
    NotAllowed for a person who does not run its study, and NotFound where that is being deleted.
    """
    require_runs_study(run.study, by)
    study_locked(run.study_id)  # before the run, as everywhere
    locked = MachineRun.objects.select_for_update().filter(pk=run.pk).first()
    if locked is None:
        return
    _require_ended(locked)
    audit.record(
        "machine_annotator_deleted", target=locked, actor=by, study=run.study.slug, name=locked.name
    )
    if locked.is_ready:
        tables_touch(run.study)
    # A statement each: nothing refers to their rows.
    locked.exchanges.all().delete()
    locked.annotations.all().delete()
    locked.delete()


@transaction.atomic
def exchanges_delete(*, run: MachineRun, by: User | None) -> int:
    """Delete what was sent and replied in a run, now; returns the number of requests.

    Annotations and what was spent stay. Raises Invalid for a run that waits or is at work, and
    NotAllowed for a person who does not run its study.
    """
    require_runs_study(run.study, by)
    _require_ended(MachineRun.objects.select_for_update().get(pk=run.pk))
    deleted, _ = run.exchanges.all().delete()
    if deleted:
        audit.record(
            "machine_annotator_exchanges_deleted",
            target=run,
            actor=by,
            study=run.study.slug,
            requests=deleted,
        )
    return deleted


def _study(study_id: int) -> Study:
    """The study, locked. Raises Invalid for one that is archived, NotFound for one that goes."""
    study = study_locked(study_id)
    if study.state == Study.State.ARCHIVED:
        raise Invalid(gettext("This study is archived. Take it out of the archive first."))
    return study


def _wait_for_others(by: User | None) -> None:
    """Let requests of one person wait for each other."""
    if by is not None:
        User.objects.select_for_update().get(pk=by.pk)


def _require_ended(run: MachineRun) -> None:
    if run.is_unfinished:
        raise Invalid(gettext("The run is waiting or at work. Cancel it first."))


def _require_same(run: MachineRun, study: Study, found: Configured) -> None:
    if run.restored:
        raise Invalid(
            gettext("The run came with an archive, so it cannot continue. Request a new run.")
        )
    if (run.model, run.endpoint) != (found.model, found.endpoint_host):
        raise Invalid(
            gettext(
                "The run asked the model “%(model)s”, and the site now has “%(now)s”. Request a "
                "new run."
            )
            % {"model": run.model, "now": found.model}
        )
    if run.rules != rules_of(study):
        raise Invalid(
            gettext("The study’s rules changed since the run was requested. Request a new run.")
        )
    if run.cost and run.currency != found.currency:
        raise Invalid(
            gettext("Prices were in %(was)s, and are in %(now)s now. Request a new run.")
            % {"was": run.currency, "now": found.currency}
        )


def _require_turn(study: Study, by: User | None, *, is_new: bool = True) -> None:
    if by is not None:
        mine = MachineRun.objects.filter(requested_by=by, state__in=UNFINISHED)
        if mine.count() >= MOST_UNFINISHED:
            raise Invalid(
                gettext(
                    "%(most)s of your runs are waiting or at work, which is the limit for one "
                    "person. Continue when one has ended, or cancel one."
                )
                % {"most": MOST_UNFINISHED}
            )
    if is_new and study.machine_runs.count() >= MOST_OF_STUDY:
        raise Invalid(
            gettext("The study has %(most)s runs, which is the limit. Delete one first.")
            % {"most": MOST_OF_STUDY}
        )


def _free_name(study: Study, model: str) -> str:
    """The annotator's name: of the model's last part, with a number unless it is the first."""
    last = model.rstrip("/").rpartition("/")[2].lower()
    slug = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:NAME_LENGTH].strip("-") or "model"
    base = PREFIX + slug
    taken = {*MACHINE_ANNOTATORS, *study.machine_runs.values_list("name", flat=True)}
    numbered = (base if n == 1 else f"{base}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in numbered if name not in taken)

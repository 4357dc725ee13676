"""Views of people who take part by an open link."""

import uuid

from allauth.account.utils import perform_login
from allauth.core.internal import ratelimit
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from annotation_site.accounts.models import User
from annotation_site.accounts.permissions import PersonRequest
from annotation_site.annotation import selectors
from annotation_site.annotation.crowd import joining
from annotation_site.annotation.crowd.checks import questions_from_json
from annotation_site.annotation.crowd.cookies import participant_remember, participants_known
from annotation_site.annotation.crowd.links import open_link_find, why_shut
from annotation_site.annotation.crowd.models import CrowdParticipant, OpenLink
from annotation_site.annotation.crowd.pages import is_over, page_now, waits_for_check
from annotation_site.annotation.lists.markdown import safe_html
from annotation_site.annotation.models import Assignment, Guidelines
from annotation_site.errors import Invalid, NotAllowed, NotFound, TooManyRequests

SESSION_SECONDS = 3 * 24 * 3600  # the cookie of the link lets people back in after it


@require_http_methods(["GET", "HEAD", "POST"])
def landing(request: HttpRequest, token: str) -> HttpResponseBase:
    """The page that an open link leads to. Only its button makes an account, never the page: links
    are opened by previews too.
    """
    link = _link_of(request, token)
    if isinstance(request.user, User) and not request.user.is_crowd:
        return render(request, "annotation/open_link.html", {"link": link, "is_member": True})
    sent = {name: values[-1] for name, values in request.GET.lists() if values}
    known = _known(request, link, sent.get(link.parameter, ""))
    if request.method == "POST":
        return _resume(request, known) if known else _start(request, link, sent)
    refusal = why_shut(link, joins=known is None or known.idle_at is not None)
    if not refusal and known is None:
        try:
            joining.ids_of(link, sent)
        except Invalid as error:
            refusal = error.message
    if known is not None and request.user == known.membership.user and known.idle_at is None:
        return redirect(page_now(known.membership.user))
    return _landing(request, link, known, refusal)


def _landing(
    request: HttpRequest, link: OpenLink, known: CrowdParticipant | None, refusal: str
) -> HttpResponse:
    context = {"link": link, "known": known, "refusal": refusal, "key": joining.start_key()}
    status = 403 if refusal and request.method == "POST" else 200
    return render(request, "annotation/open_link.html", context, status=status)


def _link_of(request: HttpRequest, token: str) -> OpenLink:
    """The link; wrong ones are counted per address, as those of invitations are."""
    wrong = {"app": "allauth.account", "action": "invitation", "limit_get": True}
    if not ratelimit.consume(request, dry_run=True, **wrong):
        raise TooManyRequests(
            _("Too many wrong links were opened from your address. Wait a minute, then try again.")
        )
    try:
        return open_link_find(token)
    except NotFound:
        ratelimit.consume(request, **wrong)
        raise


def _known(request: HttpRequest, link: OpenLink, sent_id: str) -> CrowdParticipant | None:
    """The participant of this link to whom the browser may return.

    By its session or by the link's cookie; with another participant id in the address, another
    person uses the browser. Of somebody whose id was erased, the cookie alone says who it is.
    """
    own = joining.participant_of(request.user) if isinstance(request.user, User) else None
    found = [own] if own is not None and own.link_id == link.pk else []
    found += participants_known(request, link)
    return next((one for one in found if not sent_id or one.outside_id in ("", sent_id)), None)


def _resume(request: HttpRequest, known: CrowdParticipant) -> HttpResponseBase:
    try:
        joining.participation_resume(participant=known)
    except NotAllowed as error:
        return _landing(request, known.link, known, error.message)
    return _enter(request, known)


def _start(request: HttpRequest, link: OpenLink, sent: dict[str, str]) -> HttpResponseBase:
    if not ratelimit.consume(request, app="allauth.account", action="open_link"):
        raise TooManyRequests(
            _("Too many people have started from your address. Wait a few minutes, then try again.")
        )
    try:
        outside_id, other_ids = joining.ids_of(link, sent)
        key = uuid.UUID(request.POST.get("key", ""))
        participant = joining.participation_start(
            link=link, outside_id=outside_id, other_ids=other_ids, key=key
        )
    except ValueError as error:
        raise Invalid(_("The button’s form is incomplete. Reload the page.")) from error
    except (Invalid, NotAllowed) as error:
        return _landing(request, link, None, error.message)
    return _enter(request, participant)


def _enter(request: HttpRequest, participant: CrowdParticipant) -> HttpResponseBase:
    """Log a browser in with a participant's account, and remember it."""
    user = participant.membership.user
    if request.user != user:
        if request.user.is_authenticated:
            logout(request)
        perform_login(request, user)
        request.session.set_expiry(SESSION_SECONDS)
    response = redirect(page_now(user))
    participant_remember(request, response, participant)
    return response


@login_required
@require_http_methods(["GET", "POST"])
def check(request: PersonRequest) -> HttpResponse:
    """The comprehension check, before the first list."""
    participant = _participant(request)
    page = page_now(request.user)
    if page != request.path:
        return redirect(page)
    link = participant.link
    questions = questions_from_json(link.questions)
    given = [_number(request.POST.get(f"question-{n}")) for n in range(len(questions))]
    said = ""
    if request.method == "POST":
        try:
            joining.check_answer(participant=participant, given=given)
        except Invalid as error:
            said = error.message
        else:
            participant = _participant(request)
            if participant.check_failed_at or not waits_for_check(participant):
                return redirect(page_now(request.user))
            said = ngettext(
                "%(right)s of %(n)s answer is correct. Read the guidelines again: you have one "
                "more attempt.",
                "%(right)s of %(n)s answers are correct. Read the guidelines again: you have one "
                "more attempt.",
                len(questions),
            ) % {"right": participant.check_right, "n": len(questions)}
    guidelines = selectors.newest_text(Guidelines, link.study)
    context = {
        "link": link,
        "questions": list(zip(questions, given, strict=True)),
        "said": said,
        "attempts_left": link.attempts - participant.check_attempts,
        "guidelines_html": safe_html(guidelines.text) if guidelines else "",
    }
    return render(request, "annotation/check.html", context, status=422 if said else 200)


@login_required
@require_GET
def done(request: PersonRequest) -> HttpResponse:
    """The completion page: thanks, and the code or the way back. Shown first, it is noted."""
    participant = _participant(request)
    if is_over(participant) or not joining.participation_complete(participant=participant):
        return redirect(page_now(request.user))
    own = participant.membership.assignments.exclude(purpose=Assignment.Purpose.ADJUDICATION)
    context = {
        "link": participant.link,
        "study": participant.link.study,
        "submitted": own.filter(state=Assignment.State.SUBMITTED).count(),
        "seconds": sum(own.values_list("active_seconds", flat=True)),
        "pseudonym": request.user.username,
    }
    return render(request, "annotation/done.html", context)


@login_required
@require_GET
def ended(request: PersonRequest) -> HttpResponse:
    """The page of a participant whose part has ended without completion."""
    _require_crowd(request)
    participant = joining.participant_of(request.user)
    if participant is not None and not is_over(participant):
        return redirect(page_now(request.user))
    return render(request, "annotation/ended.html", {"participant": participant})


@login_required
@require_GET
def leave(request: PersonRequest) -> HttpResponse:
    """The way to the page on which a participant leaves the study."""
    participant = _participant(request)
    if is_over(participant):
        return redirect("annotation:ended")
    return redirect("annotation:withdraw", participant.link.study.slug)


def _participant(request: PersonRequest) -> CrowdParticipant:
    """The participant. Raises NotFound for everybody else."""
    _require_crowd(request)
    participant = joining.participant_of(request.user)
    if participant is None:
        raise NotFound(_("This open link has been deleted, and your part in the study with it."))
    return participant


def _require_crowd(request: PersonRequest) -> None:
    if not request.user.is_crowd:
        raise NotFound(_("This page is for people who take part by an open link."))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 3 else None

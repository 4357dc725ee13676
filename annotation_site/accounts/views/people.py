"""Views for admins about people: roles, access, resets, erasing, the log."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts import audit, selectors, services
from annotation_site.accounts.forms import LogFilter
from annotation_site.accounts.models import Role, User
from annotation_site.accounts.permissions import PersonRequest, admin_required
from annotation_site.annotation.people import joining as people
from annotation_site.errors import Invalid

PER_PAGE = 100


@admin_required
@require_GET
def listed(request: PersonRequest) -> HttpResponse:
    """The list of everybody on this site."""
    name = request.GET.get("name", "").strip()
    page = Paginator(selectors.people(name), PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/people.html", {"page": page, "name": name})


@admin_required
@require_GET
def person(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """One person, with the actions of an admin."""
    found = selectors.person_of(public_id)
    recent = selectors.log_rows(audit.entries(person=found.public_id)[:10])
    context = {"person": found, "roles": Role.choices, "recent": recent}
    return render(request, "accounts/person.html", context)


@admin_required
@require_POST
def role(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Change a person's role."""
    found = selectors.person_of(public_id)
    people.person_role_change(person=found, role=request.POST.get("role", ""), by=request.user)
    messages.success(request, gettext("The role is changed."))
    return redirect("accounts:person", public_id)


@admin_required
@require_POST
def access(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Deactivate or activate a person, as the form says; never toggle."""
    found = selectors.person_of(public_id)
    changes = {"yes": people.person_activate, "no": people.person_deactivate}
    active = request.POST.get("active", "")
    if active not in changes:
        raise Invalid(
            gettext(
                "The request does not say whether this person may log in. Open their page and use "
                "the button there."
            )
        )
    changes[active](person=found, by=request.user)
    done = {
        "yes": gettext("The person is activated and can log in."),
        "no": gettext("The person is deactivated and logged out."),
    }
    messages.success(request, done[active])
    return redirect("accounts:person", public_id)


@admin_required
@require_POST
def reset_link(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Make a link for a new password; only this response shows it."""
    found = selectors.person_of(public_id)
    link = request.build_absolute_uri(services.reset_link_make(person=found, by=request.user))
    context = {"person": found, "link": link}
    return render(request, "accounts/reset_link.html", context)


@admin_required
@require_POST
def second_factor(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Remove a lost second factor."""
    services.second_factor_remove(person=selectors.person_of(public_id), by=request.user)
    messages.success(request, gettext("The second factor is removed. The password is unchanged."))
    return redirect("accounts:person", public_id)


@admin_required
def erase(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Explain erasing; erase the person once the name is typed."""
    found = selectors.person_of(public_id)
    wrong = False
    if request.method == "POST":
        wrong = request.POST.get("name", "") != found.username
        if not wrong:
            people.person_erase(person=found, by=request.user)
            messages.success(request, gettext("The person is erased."))
            return redirect("accounts:people")
    context = {"person": found, "wrong": wrong}
    return render(request, "accounts/erase.html", context, status=422 if wrong else 200)


@admin_required
@require_GET
def log(request: PersonRequest) -> HttpResponse:
    """The audit log, newest first."""
    form = LogFilter(request.GET)
    action, name = form.cleaned_data.values() if form.is_valid() else ("", "")
    whose = User.objects.filter(username=name).first() if name else None
    entries = audit.entries(action=action, person=whose.public_id if whose else None)
    if name and whose is None:
        entries = entries.none()
    page = Paginator(entries, PER_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "form": form,
        "page": page,
        "rows": selectors.log_rows(page.object_list),
        "query": query.urlencode(),
    }
    return render(request, "accounts/log.html", context)

"""Views of sets of vectors, for researchers and admins."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.corpus.models import VectorSet
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.vector_sets import (
    MOST_PLACES,
    vector_set_change,
    vector_set_delete,
    vector_set_make,
    vector_sets,
    version_of,
)
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.explorer.search.forms import VectorSearchForm
from annotation_site.explorer.sets import members as of_sets
from annotation_site.explorer.sets.forms import AddToSetForm, NewSetForm, SaveFoundForm, SetForm
from annotation_site.exports import EXPORT_FORMATS


@researcher_required
@require_GET
def sets(request: PersonRequest) -> HttpResponse:
    """The sets of the team."""
    return render(request, "explorer/sets.html", {"sets": of_sets.sets_shown(request.user)})


@researcher_required
@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    """Make a set: of typed vectors, of ticked lists of a search, or of all that it finds."""
    if "search" in request.POST:
        return _of_search(request)
    form = NewSetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = vector_set_make(**form.cleaned_data, by=request.user)
        except Invalid as refused:
            form.add_error(None, refused.message)
        else:
            return _made(request, made)
    context = {"form": form, "has_models": extractions_ready().exists()}
    return render(request, "explorer/set_new.html", context, status=422 if form.errors else 200)


def _of_search(request: PersonRequest) -> HttpResponse:
    """A set of ticked lists, or of all that a search finds. Raises Invalid."""
    form = SaveFoundForm(request.POST)
    if not form.is_valid():
        raise Invalid(str(next(iter(form.errors.values()))[0]))
    others = 0
    if request.POST.get("what") == "ticked":
        ticked = request.POST.getlist("place")
        if not ticked:
            raise Invalid(gettext("Tick the lists that the set is to have, and save them again."))
        if len(ticked) > MOST_PLACES:
            raise Invalid(gettext("Tick fewer lists, and save them again."))
        model, places = of_sets.places_ticked(ticked, request.user)
    else:
        asked = VectorSearchForm(
            QueryDict(form.cleaned_data["search"]), extractions=list(extractions_ready())
        )
        if not asked.is_valid():
            raise Invalid(str(next(iter(asked.errors.values()))[0]))
        model, places, others = of_sets.places_found(asked.search(), request.user)
    made = vector_set_make(
        title=form.cleaned_data["title"], model=model, places=places, by=request.user
    )
    if others:
        said = ngettext(
            "%(n)s list of another kind is left out: sets have value vectors alone.",
            "%(n)s lists of other kinds are left out: sets have value vectors alone.",
            others,
        )
        messages.warning(request, said % {"n": f"{others:,}"})
    return _made(request, made)


def _made(request: PersonRequest, made: VectorSet) -> HttpResponse:
    said = ngettext("The set has %(n)s vector.", "The set has %(n)s vectors.", len(made.members))
    messages.success(request, said % {"n": f"{len(made.members):,}"})
    return redirect("explorer:set", made.public_id)


@researcher_required
@require_GET
def vector_set(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """A set: its vectors with their lists, and what can be done with it."""
    return _page(request, _one(public_id))


@researcher_required
@require_POST
def change(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Change title, note and vectors of a set. Members that the person does not see stay."""
    found = _one(public_id)
    form = SetForm(request.POST)
    if form.is_valid():
        try:
            vector_set_change(
                vector_set=found,
                by=request.user,
                kept=of_sets.places_hidden(found, request.user),
                **form.cleaned_data,
            )
        except Invalid as refused:
            form.add_error(None, refused.message)
        else:
            messages.success(request, gettext("Saved."))
            return redirect("explorer:set", public_id)
    return _page(request, found, form)


@researcher_required
@require_POST
def delete(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Delete a set."""
    vector_set_delete(vector_set=_one(public_id), by=request.user)
    messages.success(request, gettext("The set is deleted. What was made from it stays."))
    return redirect("explorer:sets")


@researcher_required
@require_POST
def add(request: PersonRequest) -> HttpResponse:
    """Add vectors to a set: the small form of other pages. Raises Invalid and NotAllowed."""
    form = AddToSetForm(request.POST)
    if not form.is_valid():
        raise Invalid(str(next(iter(form.errors.values()))[0]))
    changed = vector_set_change(
        vector_set=form.cleaned_data["vector_set"], by=request.user, add=form.cleaned_data["places"]
    )
    messages.success(request, gettext("The set has the vector now."))
    return redirect("explorer:set", changed.public_id)


@researcher_required
@require_GET
def file(request: PersonRequest, public_id: uuid.UUID, extension: str) -> HttpResponseBase:
    """The vectors of a set as a file."""
    return attachment(of_sets.set_file(_one(public_id), request.user, extension))


def _one(public_id: uuid.UUID) -> VectorSet:
    return get_object_or_404(vector_sets(), public_id=public_id)


def _page(request: PersonRequest, found: VectorSet, form: SetForm | None = None) -> HttpResponse:
    number = request.GET.get("page", "")
    is_number = number.isascii() and number.isdigit() and len(number) < 7
    shown = of_sets.set_page(found, request.user, int(number) if is_number else 1)
    context: dict[str, Any] = {
        "shown": shown,
        "form": form
        or SetForm(
            initial={
                "title": found.title,
                "note": found.note,
                "places": shown.typed,
                "as_of": version_of(found, shown.hidden),
            }
        ),
        "formats": tuple(EXPORT_FORMATS),
    }
    refused = form is not None and bool(form.errors)
    return render(request, "explorer/set.html", context, status=422 if refused else 200)

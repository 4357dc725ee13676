"""Views of a researcher's studies: make, change, extend, copy."""

from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import selectors
from annotation_site.annotation.forms import (
    CopyForm,
    ExtensionForm,
    FixedRulesForm,
    RulesForm,
    StudyForm,
    TextsForm,
)
from annotation_site.annotation.lists.look_up import SEARCH_ENGINES
from annotation_site.annotation.models import Study
from annotation_site.annotation.people import consent as consent_services
from annotation_site.annotation.studies import rules as rules_services
from annotation_site.annotation.studies import services as studies
from annotation_site.annotation.studies.plans import (
    StudyPlan,
    is_frozen,
    plan_check_people,
    plan_of,
)
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.errors import Invalid
from annotation_site.exact_words import exact


@researcher_required
@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    """The form that makes a study, with its preview; saves it as a draft or opens it."""
    form = StudyForm(request.POST or None, by=request.user)
    context: dict[str, Any] = {"form": form, "has_extractions": extractions_ready().exists()}
    if request.method == "POST" and form.is_valid():
        action = request.POST.get("action", "")
        try:
            plan = form.plan()
            if action == "draft":
                study = studies.study_create(plan=plan, created_by=request.user)
                said = _("“{study}” is saved as a draft.")
                messages.success(request, format_html(said, study=exact(study.title)))
                return redirect("annotation:rules", study.slug)
            if action == "open":
                study = studies.study_create_open(plan=plan, created_by=request.user)
                said = _("“{study}” is open. Its annotators see it now.")
                messages.success(request, format_html(said, study=exact(study.title)))
                return redirect("home")
            plan_check_people(plan, request.user)
            context["preview"] = study_preview(plan=plan, by=request.user)
        except Invalid as error:
            form.add_error(None, error.message)
    return _form_page(request, "annotation/new.html", context)


@researcher_required
@require_http_methods(["GET", "POST"])
def rules(request: PersonRequest, slug: str) -> HttpResponse:
    """Change the rules of one of the person's own studies, as long as possible."""
    study = selectors.study_of(request.user, slug)
    plan = plan_of(study)
    frozen = is_frozen(study)
    kind = FixedRulesForm if frozen else RulesForm
    form = kind(request.POST or None, initial=vars(plan))
    context = _rules_context(study, form, plan, frozen)
    if form.is_bound:  # what is written here was written from the rules that it says
        context["rules_base"] = request.POST.get("rules_base", "")
    elif not frozen:  # with the page: one that came later would move what people reach for
        with suppress(Invalid):
            context["preview"] = study_preview(plan=plan, by=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            plan = form.plan(base=plan)
            if request.POST.get("action") == "save":
                base = request.POST.get("rules_base", "")
                changed = rules_services.study_change(study=study, plan=plan, base=base)
                messages.success(request, _("Saved.") if changed else _("Nothing changed."))
                return redirect("annotation:rules", slug)
            context["preview"] = study_preview(plan=plan, by=request.user)
        except Invalid as error:
            form.add_error(None, error.message)
    return _form_page(request, "annotation/rules.html", context)


@researcher_required
@require_POST
def extend(request: PersonRequest, slug: str) -> HttpResponse:
    """Extend one of the person's own studies by more lists."""
    study = selectors.study_of(request.user, slug)
    form = ExtensionForm(request.POST, study=study)
    if form.is_valid():
        try:
            added = rules_services.study_extend(study=study, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            said = ngettext("%(n)s list was added.", "%(n)s lists were added.", added)
            messages.success(request, said % {"n": f"{added:,}"})
            return redirect("annotation:rules", slug)
    return _rules_again(request, study, extension=form)


@researcher_required
@require_POST
def duplicate(request: PersonRequest, slug: str) -> HttpResponse:
    """Copy one of the person's own studies to a draft."""
    study = selectors.study_of(request.user, slug)
    form = CopyForm(request.POST)
    if form.is_valid():
        try:
            copy = rules_services.study_duplicate(study=study, by=request.user, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            said = _("“{study}” is a draft now. You can change its rules.")
            messages.success(request, format_html(said, study=exact(copy.title)))
            return redirect("annotation:rules", copy.slug)
    return _rules_again(request, study, copy=form)


@researcher_required
@require_http_methods(["GET", "POST"])
def texts(request: PersonRequest, slug: str) -> HttpResponse:
    """Change the texts of one of the person's own studies."""
    found = selectors.study_of(request.user, slug)
    form = TextsForm(request.POST or None, initial=selectors.texts_of(found))
    if request.method == "POST" and form.is_valid():
        try:
            changed = consent_services.study_texts_change(study=found, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(
                request, _("Saved as a new version.") if changed else _("Nothing changed.")
            )
            return redirect("annotation:texts", slug)
    context = {"study": found, "form": form}
    return render(request, "annotation/texts.html", context, status=422 if form.errors else 200)


@researcher_required
@require_POST
def change_state(request: PersonRequest, slug: str) -> HttpResponse:
    """Change the state of one of the person's own studies: pilot, open, pause, close, archive."""
    found = selectors.study_of(request.user, slug)
    studies.study_state_change(study=found, state=request.POST.get("state", ""))
    if (back := request.POST.get("back")) in ("rules", "run"):
        return redirect(f"annotation:{back}", slug)
    return redirect("home")


def _form_page(request: PersonRequest, page: str, context: dict[str, Any]) -> HttpResponse:
    """A page with a form; while somebody fills it in, only its preview."""
    if request.htmx:
        return render(request, "annotation/_preview.html", context)
    return render(request, page, context, status=422 if context["form"].errors else 200)


def _rules_context(study: Study, form: RulesForm, plan: StudyPlan, frozen: bool) -> dict[str, Any]:
    return {
        "study": study,
        "form": form,
        "plan": plan,
        "gloss_rule": Study.GlossRule(plan.gloss_rule).label,
        "search_engine": SEARCH_ENGINES[plan.search_engine][0],
        "frozen": frozen,
        "rules_base": rules_services.rules_base(plan, frozen=frozen),
        "extension": ExtensionForm(study=study),
        "copy": CopyForm(initial={"title": _("%(study)s (copy)") % {"study": study.title}}),
    }


def _rules_again(request: PersonRequest, study: Study, **refused: Any) -> HttpResponse:
    """The rules with a form that was refused."""
    plan, frozen = plan_of(study), is_frozen(study)
    form = (FixedRulesForm if frozen else RulesForm)(initial=vars(plan))
    context = _rules_context(study, form, plan, frozen) | refused
    return render(request, "annotation/rules.html", context, status=422)

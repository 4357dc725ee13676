"""Views of a researcher's studies: make, change, extend, copy."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
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
from annotation_site.annotation.studies.of_sets import set_shown
from annotation_site.annotation.studies.plans import (
    StudyPlan,
    Unfit,
    is_frozen,
    plan_check_people,
    plan_of,
)
from annotation_site.annotation.studies.previews import study_preview
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.vector_sets import vector_sets
from annotation_site.errors import Invalid
from annotation_site.exact_words import exact


@researcher_required
@require_http_methods(["GET", "POST"])
def new(request: PersonRequest) -> HttpResponse:
    """The form that makes a study, with its preview; saves it as a draft or opens it."""
    form = StudyForm(_as_remedied(request.POST), by=request.user, initial=_of_set(request))
    context: dict[str, Any] = {"form": form, "remedies": {}}
    context["has_extractions"] = extractions_ready().exists()
    if request.POST.get("action") in ("draft", "open") and form.is_valid():
        try:
            return _made(request, form.plan())
        except Invalid as error:
            _say(context, error)
    return _form_page(request, "annotation/new.html", context)


def _of_set(request: PersonRequest) -> dict[str, Any]:
    """The first values of the form for a study of the set that the address names."""
    try:
        chosen = uuid.UUID(request.GET.get("set", ""))
    except ValueError:
        return {}
    found = vector_sets().filter(public_id=chosen).first()
    if found is None:
        return {}
    ready = extractions_ready().filter(model__weights_digest=found.model.weights_digest)
    newest = list(ready[:1])
    return {"vector_set": str(found.public_id), "extractions": newest}


def _made(request: PersonRequest, plan: StudyPlan) -> HttpResponse:
    """Make the study of a plan; its next page. Raises Invalid.

    With training or silent reference lists it cannot open yet: their reference annotations are
    written once the study is there.
    """
    if request.POST["action"] == "draft":
        study = studies.study_create(plan=plan, created_by=request.user)
        said, page = _("“{study}” is saved as a draft."), "annotation:rules"
    elif plan.training_lists or plan.reference_lists:
        study = studies.study_create(plan=plan, created_by=request.user)
        said = _("“{study}” is saved as a draft. Write these annotations, then open it.")
        page = "annotation:references"
    else:
        study = studies.study_create_open(plan=plan, created_by=request.user)
        said, page = _("“{study}” is open. Its annotators see it now."), "annotation:run"
    messages.success(request, format_html(said, study=exact(study.title)))
    return redirect(page, study.slug)


@researcher_required
@require_http_methods(["GET", "POST"])
def rules(request: PersonRequest, slug: str) -> HttpResponse:
    """Change the rules of one of the person's own studies, as long as possible."""
    study = selectors.study_of(request.user, slug)
    plan = plan_of(study)
    frozen = is_frozen(study)
    kind = FixedRulesForm if frozen else RulesForm
    form = kind(_as_remedied(request.POST), initial=vars(plan))
    context = _rules_context(study, form, plan, frozen)
    if form.is_bound:  # what is written here was written from the rules that it says
        context["rules_base"] = request.POST.get("rules_base", "")
    if request.POST.get("action") == "save" and form.is_valid():
        try:
            base = request.POST.get("rules_base", "")
            wanted = form.plan(plan)
            if wanted.drawn_from != plan.drawn_from:
                set_shown(wanted.drawn_from, request.user)
            changed = rules_services.study_change(study=study, plan=wanted, base=base)
        except Invalid as error:
            _say(context, error)
        else:
            messages.success(request, _("Saved.") if changed else _("Nothing changed."))
            return redirect("annotation:rules", slug)
    return _form_page(request, "annotation/rules.html", context, base=plan)


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
    return redirect("results:home", slug)


def _as_remedied(sent: QueryDict) -> QueryDict | None:
    """The sent form, with the value that a remedy's button stands for; None for nothing.

    A script puts the value into its field; this is for browsers without one.
    """
    name, _sign, value = sent.get("use", "").partition("=")
    if name in RulesForm.base_fields:
        sent = sent.copy()
        sent[name] = value
    return sent or None


def _form_page(
    request: PersonRequest, page: str, context: dict[str, Any], base: StudyPlan | None = None
) -> HttpResponse:
    """A page with a plan's form and preview; while somebody fills it in, only what changes."""
    form = context["form"]
    is_whole = "extractions" in form.fields  # else the rules are fixed
    plan = form.plan_so_far(base) if is_whole and not context["remedies"] else None
    if plan is not None:
        try:
            if base is None:
                plan_check_people(plan, request.user)
            context["preview"] = preview = study_preview(plan=plan, by=request.user)
            context["chosen_extractions"] = plan.extractions
            context["previewed_plan"] = plan
            own = [remedy for remedy in preview.remedies if remedy.field in form.fields]
            context["remedies"] = {remedy.field: remedy for remedy in own}
        except Invalid as error:
            _say(context, error)
    if request.htmx:
        return render(request, "annotation/_preview.html", context | {"is_update": True})
    return render(request, page, context, status=422 if form.errors else 200)


def _say(context: dict[str, Any], error: Invalid) -> None:
    """Put a refusal beside the preview and, where it has a field, at the field."""
    if context["form"].is_bound:
        context["form"].add_error(None, error.message)
    if isinstance(error, Unfit):
        context["remedies"] = {error.remedy.field: error.remedy}


def _rules_context(study: Study, form: RulesForm, plan: StudyPlan, frozen: bool) -> dict[str, Any]:
    return {
        "study": study,
        "form": form,
        "plan": plan,
        "gloss_rule": Study.GlossRule(plan.gloss_rule).label,
        "search_engine": SEARCH_ENGINES[plan.search_engine][0],
        "frozen": frozen,
        "remedies": {},
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

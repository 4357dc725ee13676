"""The tutorial: a worked example of top tokens, and one of trigger prefixes."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from annotation_site.accounts.permissions import PersonRequest
from annotation_site.annotation.lists.look_up import look_up
from annotation_site.annotation.models import Study
from annotation_site.annotation.work import tutorial as tutorials


@login_required
@require_GET
def tutorial(request: PersonRequest) -> HttpResponse:
    """A worked example on the annotation page, with steps beside it; `?lists=prefixes` for keys."""
    page = tutorials.tutorial_page(_source(request.GET.get("lists")))
    context = {"page": page, "look_up": look_up(), "tutorial": True}
    return render(request, "annotation/tutorial.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def comparison(request: PersonRequest) -> HttpResponse:
    """The posted annotation of an example beside the example's own; nothing is stored."""
    yours = None
    source = _source((request.POST or request.GET).get("lists"))
    if request.method == "POST":
        yours = tutorials.annotation_read(request.POST.get("annotation", ""), source)
    context = {"comparison": tutorials.compare(yours, source), "source": source}
    context["paper"] = source == Study.ListSource.TOP_TOKENS  # the example is the paper's own
    return render(request, "annotation/comparison.html", context)


def _source(lists: str | None) -> str:
    prefixes = lists == "prefixes"
    return Study.ListSource.TRIGGER_PREFIXES if prefixes else Study.ListSource.TOP_TOKENS

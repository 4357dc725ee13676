"""The tutorial: the paper's worked example."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from annotation_site.accounts.permissions import PersonRequest
from annotation_site.annotation.lists.look_up import look_up
from annotation_site.annotation.work import tutorial as tutorials


@login_required
@require_GET
def tutorial(request: PersonRequest) -> HttpResponse:
    """The paper's worked example on the annotation page, with steps beside it."""
    context = {"page": tutorials.tutorial_page(), "look_up": look_up(), "tutorial": True}
    return render(request, "annotation/tutorial.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def comparison(request: PersonRequest) -> HttpResponse:
    """The posted annotation of the example beside the paper's; nothing is stored."""
    yours = None
    if request.method == "POST":
        yours = tutorials.annotation_read(request.POST.get("annotation", ""))
    context = {"comparison": tutorials.compare(yours)}
    return render(request, "annotation/comparison.html", context)

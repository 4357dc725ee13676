"""The page that deletes a study."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.selectors import studies_of
from annotation_site.errors import Invalid
from annotation_site.results.files.deletion import study_contents, study_delete


@researcher_required
@require_http_methods(["GET", "POST"])
def delete(request: PersonRequest, slug: str) -> HttpResponse:
    """Say what goes and what stays; delete the study once its title is typed."""
    study = get_object_or_404(studies_of(request.user), slug=slug)
    error = ""
    if request.method == "POST":
        if request.POST.get("title", "").strip() != study.title:
            error = gettext(
                "The title does not match, so nothing was deleted. Type it exactly as above."
            )
        else:
            try:
                study_delete(study=study, by=request.user)
            except Invalid as refused:
                error = refused.message
            else:
                messages.success(request, gettext("The study is being deleted."))
                return redirect("home")
    context = {"study": study, "contents": study_contents(study), "error": error}
    return render(request, "results/delete.html", context, status=422 if error else 200)

"""Addresses of studies and lists."""

from django.urls import path

from annotation_site.annotation.views import (
    adjudication,
    annotators,
    crowd,
    lists,
    monitoring,
    open_links,
    own,
    references,
    studies,
    tutorial,
)

app_name = "annotation"
urlpatterns = [
    path("studies/new/", studies.new, name="new"),
    path("studies/<slug:slug>/", own.study, name="study"),
    path("studies/<slug:slug>/next/", lists.next_list, name="next"),
    path("studies/<slug:slug>/state/", studies.change_state, name="state"),
    path("studies/<slug:slug>/run/", monitoring.run, name="run"),
    path("studies/<slug:slug>/run/progress/", monitoring.progress, name="progress"),
    path("studies/<slug:slug>/run/flags/", monitoring.flags, name="flags"),
    path("studies/<slug:slug>/run/<uuid:person>/release/", monitoring.release, name="release"),
    path("studies/<slug:slug>/run/<uuid:person>/let-in/", monitoring.let_in, name="let_in"),
    path("studies/<slug:slug>/adjudication/open/", adjudication.adjudicate, name="adjudicate"),
    path("adjudication/<uuid:public_id>/", adjudication.one_list, name="adjudication"),
    path("studies/<slug:slug>/rules/", studies.rules, name="rules"),
    path("studies/<slug:slug>/extend/", studies.extend, name="extend"),
    path("studies/<slug:slug>/duplicate/", studies.duplicate, name="duplicate"),
    path("studies/<slug:slug>/people/", annotators.people, name="people"),
    path("studies/<slug:slug>/people/<uuid:public_id>/", annotators.change, name="person"),
    path("studies/<slug:slug>/texts/", studies.texts, name="texts"),
    path("studies/<slug:slug>/references/", references.references, name="references"),
    path("studies/<slug:slug>/consent/", own.consent, name="consent"),
    path("studies/<slug:slug>/withdraw/", own.withdraw, name="withdraw"),
    path("studies/<slug:slug>/links/", open_links.listed, name="open_links"),
    path("studies/<slug:slug>/links/new/", open_links.new, name="open_link_new"),
    path("studies/<slug:slug>/links/<uuid:public_id>/", open_links.one, name="open_link_settings"),
    path(
        "studies/<slug:slug>/links/<uuid:public_id>/state/",
        open_links.change_state,
        name="open_link_state",
    ),
    path(
        "studies/<slug:slug>/links/<uuid:public_id>/delete/",
        open_links.delete,
        name="open_link_delete",
    ),
    path("studies/<slug:slug>/payment/", open_links.payment, name="payment"),
    path(
        "studies/<slug:slug>/payment.<str:extension>", open_links.payment_file, name="payment_file"
    ),
    path("open/<str:token>/", crowd.landing, name="open_link"),
    path("part/check/", crowd.check, name="check"),
    path("part/done/", crowd.done, name="done"),
    path("part/ended/", crowd.ended, name="ended"),
    path("part/leave/", crowd.leave, name="leave"),
    path("hours/", own.hours, name="hours"),
    path("hours.<str:extension>", own.hours_file, name="hours_file"),
    path("lists/dialogs/", lists.dialogs, name="dialogs"),
    path("lists/words/<str:language>.<str:version>.js", lists.script_words, name="script_words"),
    path("tutorial/", tutorial.tutorial, name="tutorial"),
    path("tutorial/comparison/", tutorial.comparison, name="comparison"),
    path("lists/<uuid:public_id>/", lists.one_list, name="list"),
    path("lists/<uuid:public_id>/feedback/", lists.feedback, name="feedback"),
]

"""Pages of studies."""

from django.urls import path

from annotation_site.annotation import views

app_name = "annotation"
urlpatterns = [
    path("studies/new/", views.new, name="new"),
    path("studies/<slug:slug>/", views.study, name="study"),
    path("studies/<slug:slug>/next/", views.next_list, name="next"),
    path("studies/<slug:slug>/state/", views.change_state, name="state"),
    path("studies/<slug:slug>/texts/", views.texts, name="texts"),
    path("studies/<slug:slug>/consent/", views.consent, name="consent"),
    path("studies/<slug:slug>/withdraw/", views.withdraw, name="withdraw"),
    path("hours/", views.hours, name="hours"),
    path("hours.<str:extension>", views.hours_file, name="hours_file"),
    path("lists/dialogs/", views.dialogs, name="dialogs"),
    path("tutorial/", views.tutorial, name="tutorial"),
    path("tutorial/comparison/", views.comparison, name="comparison"),
    path("lists/<uuid:public_id>/", views.one_list, name="list"),
]

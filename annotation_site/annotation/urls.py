"""Pages of studies."""

from django.urls import path

from annotation_site.annotation import views

app_name = "annotation"
urlpatterns = [
    path("studies/new/", views.new, name="new"),
    path("studies/<slug:slug>/", views.study, name="study"),
    path("studies/<slug:slug>/next/", views.next_list, name="next"),
    path("studies/<slug:slug>/state/", views.change_state, name="state"),
    path("lists/<uuid:public_id>/", views.one_list, name="list"),
]

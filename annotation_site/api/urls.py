"""Addresses of the API."""

from django.urls import path

from annotation_site.api import views

app_name = "api"
urlpatterns = [
    path("lists/<uuid:public_id>/draft", views.DraftView.as_view(), name="draft"),
    path("lists/<uuid:public_id>/submit", views.SubmitView.as_view(), name="submit"),
    path("lists/<uuid:public_id>/skip", views.SkipView.as_view(), name="skip"),
]

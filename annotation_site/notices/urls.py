"""Addresses of notices."""

from django.urls import path

from annotation_site.notices import views

app_name = "notices"
urlpatterns = [
    path("notices/", views.listed, name="listed"),
    path("notices/read/", views.all_read, name="all_read"),
    path("notices/kinds/", views.kinds, name="kinds"),
    path("notices/<uuid:public_id>/", views.opened, name="opened"),
]

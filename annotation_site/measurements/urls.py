"""Addresses of the pages about measurements."""

from django.urls import path

from annotation_site.measurements import views

app_name = "measurements"
urlpatterns = [
    path("measurements/<uuid:public_id>/", views.measurement, name="measurement"),
    path("measurements/<uuid:public_id>/files/<str:name>", views.file, name="file"),
]

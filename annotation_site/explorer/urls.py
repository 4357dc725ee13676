"""Addresses of neurons. They last: layer and index are those of the model."""

from django.urls import path

from annotation_site.explorer import views

app_name = "explorer"
urlpatterns = [
    path("models/<uuid:public_id>/neurons/<int:layer>/<int:index>/", views.neuron, name="neuron"),
]

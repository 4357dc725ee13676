"""Addresses of neurons. They last: layer and index are those of the model."""

from django.urls import path

from annotation_site.neurons import views

app_name = "neurons"
urlpatterns = [
    path("models/<uuid:public_id>/neurons/<int:layer>/<int:index>/", views.neuron, name="neuron"),
]

"""Addresses of the explorer. Those of neurons and tokens last: numbers are the model's own."""

from django.urls import path

from annotation_site.explorer import views

MODEL = "models/<uuid:public_id>"
app_name = "explorer"
urlpatterns = [
    path("explore/", views.explore, name="explore"),
    path(f"{MODEL}/vectors/", views.vectors, name="vectors"),
    path(f"{MODEL}/neurons/<int:layer>/<int:index>/", views.neuron, name="neuron"),
    path(f"{MODEL}/tokens/<int:token_id>/", views.token, name="token"),
    path(f"{MODEL}/picture/", views.picture, name="picture"),
]

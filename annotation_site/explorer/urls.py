"""Addresses of the explorer. Those of neurons and tokens last: numbers are the model's own."""

from django.urls import path

from annotation_site.explorer import views
from annotation_site.explorer.search import views as search_views
from annotation_site.explorer.sets import views as sets_views

MODEL = "models/<uuid:public_id>"
app_name = "explorer"
urlpatterns = [
    path("explore/", views.explore, name="explore"),
    path(f"{MODEL}/vectors/", views.vectors, name="vectors"),
    path(f"{MODEL}/neurons/<int:layer>/<int:index>/", views.neuron, name="neuron"),
    path(f"{MODEL}/tokens/<int:token_id>/", views.token, name="token"),
    path(f"{MODEL}/picture/", views.picture, name="picture"),
    path("explore/search/", search_views.search, name="search"),
    path("explore/search/lists.<slug:extension>", search_views.search_file, name="search_file"),
    path("explore/sets/", sets_views.sets, name="sets"),
    path("explore/sets/new/", sets_views.new, name="set_new"),
    path("explore/sets/add/", sets_views.add, name="set_add"),
    path("explore/sets/<uuid:public_id>/", sets_views.vector_set, name="set"),
    path("explore/sets/<uuid:public_id>/change/", sets_views.change, name="set_change"),
    path("explore/sets/<uuid:public_id>/delete/", sets_views.delete, name="set_delete"),
    path(
        "explore/sets/<uuid:public_id>/vectors.<slug:extension>",
        sets_views.file,
        name="set_file",
    ),
]

"""URLs of the shop, below those of the chat: their names are in its namespace."""

from django.urls import path

from tests.extending.shop.views import hours

urlpatterns = [path("hours/", hours, name="hours")]

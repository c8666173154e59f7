"""URLs of the pages about e-mail, below those of the chat."""

from django.urls import path

from chat_app.contrib.notifications import mail_views

urlpatterns = [
    path("settings/mail/", mail_views.mail_settings, name="mail_settings"),
    path("unsubscribe/<str:token>/", mail_views.unsubscribe, name="unsubscribe"),
]

"""The routes of the Django site."""

from __future__ import annotations

from django.urls import path

from examples.webhook_receivers.django_view import sceneshift_webhook

urlpatterns = [path("webhooks/sceneshift", sceneshift_webhook)]

"""The settings of a Django site with the example's view, and the middleware that it must be exempt from."""

from __future__ import annotations

SECRET_KEY = "made-for-the-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
ROOT_URLCONF = "tests.integration.django_routes"
USE_TZ = True

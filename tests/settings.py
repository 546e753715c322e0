"""The product's settings, with what tests change."""

from __future__ import annotations

from hlcopy.settings import *  # noqa: F403 (a settings module is a namespace)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
# Serve the static files from where they are written: nobody collects them for a test.
WHITENOISE_USE_FINDERS = True
STATIC_ROOT = None  # type: ignore[assignment]  # there are none to serve

# Tests take the database away under this process' feet; a pool would need seconds to notice that it
# is back. The processes that tests start have the product's own settings, pool included.
DATABASES["default"]["OPTIONS"].pop("pool")  # noqa: F405 (as above)

"""Django's settings, all derived from `hlcopy.configuration` and the embedded services' state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import environ

from hlcopy import configuration
from hlcopy.embedded import data_directory, read_state

BASE_DIR = Path(__file__).resolve().parent.parent
if (BASE_DIR / ".env").exists():
    environ.Env.read_env(BASE_DIR / ".env")
CONFIGURATION = configuration.load(os.environ)
DATA_DIRECTORY = data_directory(os.environ)

# Without DATABASE_URL the embedded services serve; before their first start nothing listens there.
_embedded = read_state(DATA_DIRECTORY)
NO_DATABASE = "postgres://hlcopy@127.0.0.1:1/hlcopy"
NO_REDIS = "redis://127.0.0.1:1/0"
DATABASE_URL = CONFIGURATION.database_url or (_embedded.database_url if _embedded else NO_DATABASE)
REDIS_URL = CONFIGURATION.redis_url or (_embedded.redis_url if _embedded else NO_REDIS)
SECRET_KEY = (
    CONFIGURATION.secret_key
    or (_embedded.secret_key if _embedded else "")
    or secrets.token_urlsafe(48)
)

DEBUG = CONFIGURATION.debug
ALLOWED_HOSTS = list(CONFIGURATION.allowed_hosts) or [
    CONFIGURATION.host,
    *(["localhost", "127.0.0.1", "[::1]"] if CONFIGURATION.loopback else []),
]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_dramatiq",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "hlcopy",
    "traders",
    "discovery",
    "leaderboard",
    "web",
]
MIDDLEWARE = [
    # First whatever adds headers, so that static files and errors have them too.
    "web.headers.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "hlcopy.staticfiles.WholeFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "hlcopy.urls"
ASGI_APPLICATION = "hlcopy.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_database = environ.Env.db_url_config(DATABASE_URL)
DATABASES = {
    "default": {
        **_database,
        # A persistent connection leaks under ASGI; the pool is Django's answer to that.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **_database.get("OPTIONS", {}),  # what the URL's query says, such as sslmode
            # An attempt to reconnect doubles its pauses: given up after 2 s, the next request
            # begins a new one (else requests failed for 25 s more after an outage of 40 s).
            "pool": {"min_size": 1, "max_size": 8, "timeout": 5, "reconnect_timeout": 2},
            "connect_timeout": 3,
            "keepalives_idle": 10,
            "application_name": "hlcopy",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    # Defaults redeliver a killed worker's message minutes later (reliability: dramatiq#527).
    "OPTIONS": {"url": REDIS_URL, "heartbeat_timeout": 15_000, "maintenance_chance": 100_000},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.Retries",
        "dramatiq.middleware.ShutdownNotifications",
        "dramatiq.middleware.CurrentMessage",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
        "hlcopy.worker.WorkerHeartbeat",
    ],
}
# Rare notices to every web process (`hlcopy.broadcast.notify`); events do not travel here.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # A database of its own beside the queue, never flushed: the prefix says which keys are ours.
    "leaderboard": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": urlsplit(REDIS_URL)._replace(path="/1").geturl(),
        "KEY_PREFIX": "hlcopy",
        "OPTIONS": {
            "serializer": "leaderboard.packing.Packed",
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
        },
    },
}

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "web.access.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["web.access.MayRead"],
    "DEFAULT_THROTTLE_CLASSES": ["web.limits.AnonymousReads"],
    "DEFAULT_SCHEMA_CLASS": "web.openapi.naming.NamedByPath",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is a method like any other; the document is OpenAPI
    "EXCEPTION_HANDLER": "web.errors.handle",
    "URL_FORMAT_OVERRIDE": None,  # `?format=` is an unknown parameter like any other
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "hlcopy",
    "DESCRIPTION": "Every Hyperliquid trader's positions, ranked and live. More: docs/api.md.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": ["web.openapi.document.complete"],
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "web.errors.foreign_form"
# A trusted proxy ends TLS; without one there is plain HTTP, where a secure cookie would never come
# back. What the proxy's own header says is believed only then.
if CONFIGURATION.num_proxies:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIGURATION.num_proxies > 0
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS is for all ports of a name: whoever runs the proxy decides
    "security.W008",  # loopback has no HTTPS to send anybody to; a proxy redirects by itself
    *([] if CONFIGURATION.num_proxies else ["security.W012", "security.W016"]),  # see above
]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "staticfiles": {"BACKEND": "hlcopy.staticfiles.HashedModulesStorage"},
}
LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # httpx logs every request with its URL at INFO; a pass makes hundreds.
    # A foreign Host is a stranger's doing: answered with 400, and no traceback for each.
    "loggers": {
        "httpx": {"level": "WARNING"},
        "websockets": {"level": "WARNING"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}

"""All settings of the site, from the environment; docs/deploying.md lists them.

Two variables decide between the embedded default and real services: DATABASE_URL
(SQLite in VAR_DIR when unset) and REDIS_URL (a queue of files in VAR_DIR when unset).
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from annotation_site.operations.logs import logging_settings


class _Env(environ.Env):
    def str(self, var: str, default: str = "") -> str:
        """As it stands: a password may begin with a dollar sign and is no other variable's name."""
        return os.environ.get(var, default)


env = _Env()
BASE_DIR = Path(__file__).resolve().parent.parent
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")

VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).resolve()
DEBUG = env.bool("DEBUG", False)


def _secret_key() -> str:
    """The key from the environment, else the file that `make demo` wrote; never a default."""
    key = env.str("SECRET_KEY", "")
    if not key and (VAR_DIR / "secret_key").exists():
        key = (VAR_DIR / "secret_key").read_text().strip()
    if not key:
        raise ImproperlyConfigured(
            "No secret key. Set SECRET_KEY to a long random string, for instance the output of "
            "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`, "
            f"or put it into {VAR_DIR / 'secret_key'}."
        )
    return key


SECRET_KEY = _secret_key()
# Keys before it: they read what they signed and encrypted, and write nothing.
SECRET_KEY_FALLBACKS = [
    key.strip() for key in env.str("SECRET_KEY_FALLBACKS", "").split(",") if key.strip()
]

# The address that people type decides hosts, CSRF origins and whether cookies need HTTPS.
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000")
_site = urlsplit(SITE_URL)
if _site.scheme not in ("http", "https") or not _site.hostname:
    raise ImproperlyConfigured(
        f"SITE_URL is {SITE_URL!r}; it must be a whole address such as https://labels.example.org."
    )
_https = _site.scheme == "https"
# Below a path of the host, which the proxy takes off, cookies are not for what lies beside it.
_folder = _site.path.rstrip("/")
FORCE_SCRIPT_NAME = _folder or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = f"{_folder}/"
ALLOWED_HOSTS = [_site.hostname, "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{_site.scheme}://{_site.netloc}"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SECURE_SSL_REDIRECT = _https
# Asked on the machine itself, without TLS.
SECURE_REDIRECT_EXEMPT = [rf"^({re.escape(_folder[1:])}/)?(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
# The host's subdomains belong to whoever runs them, and a preload list hardly lets go again.
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = False
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
BEHIND_PROXY = env.bool("BEHIND_PROXY", False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1  # the last address of X-Forwarded-For is the one it wrote
SESSION_COOKIE_AGE = 14 * 24 * 3600
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# Login by an outside service (OpenID Connect), beside the password. Off where no issuer is named.
OIDC_ISSUER = env.str("OIDC_ISSUER", "").rstrip("/")
OIDC_NAME = env.str("OIDC_NAME", "") or "single sign-on"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": OIDC_NAME,
                "client_id": env.str("OIDC_CLIENT_ID", ""),
                "secret": env.str("OIDC_CLIENT_SECRET", ""),
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}
if OIDC_ISSUER:
    _issuer = urlsplit(OIDC_ISSUER)
    if _issuer.scheme not in ("http", "https") or not _issuer.hostname:
        raise ImproperlyConfigured(
            f"OIDC_ISSUER is {OIDC_ISSUER!r}; it must be a whole address such as "
            "https://login.example.org."
        )
    # Browsers hold a form's redirect to the policy as well.
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"].append(
        f"{_issuer.scheme}://{_issuer.netloc}"
    )

INSTALLED_APPS = [
    "annotation_site",  # commands and templates of the site as a whole
    "annotation_site.accounts",
    "annotation_site.corpus",
    "annotation_site.annotation",
    "annotation_site.results",
    "annotation_site.workers",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "annotation_site.static_files.StaticFiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]
MIDDLEWARE = [
    "annotation_site.operations.requests.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "annotation_site.errors.SiteErrorMiddleware",
]
ROOT_URLCONF = "annotation_site.urls"
WSGI_APPLICATION = "annotation_site.wsgi.application"
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

DATABASES = {"default": env.db("DATABASE_URL", f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
_database = DATABASES["default"]
if _password := env.str("DATABASE_PASSWORD", ""):  # any signs, which an address would not take
    _database["PASSWORD"] = _password
_database["CONN_MAX_AGE"] = 300  # a fresh connection per request costs half the throughput
_database["CONN_HEALTH_CHECKS"] = True
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        "timeout": 20,
        # A deferred transaction fails at once when it upgrades to a write; an immediate one waits.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Counts failed logins and tokens' requests for all processes together. In the database, so that
# nothing needs Redis to let people in; a migration makes the table.
CACHES = {
    "default": {
        "BACKEND": "annotation_site.database_cache.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
PASSWORD_RESET_TIMEOUT = 24 * 3600

ACCOUNT_ADAPTER = "annotation_site.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "change_password": "annotation_site.accounts.password_forms.ChangeForm",
    "reset_password": "annotation_site.accounts.password_forms.ResetForm",
    "reset_password_from_key": "annotation_site.accounts.password_forms.ResetKeyForm",
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]  # sign-up itself is closed by the adapter
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # before what decides who gets in is changed
# Django's own generator: a link dies with the next login, password or e-mail address.
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"  # noqa: S105
# A class that logs in together shares one address, so only failures are counted closely.
ACCOUNT_RATE_LIMITS = {
    "login": "200/m/ip",
    "login_failed": "20/m/ip,5/5m/key",
    "reset_password": "10/m/ip,3/h/key",
    "invitation": "20/m/ip",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "FFN Concepts"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s that a telephone's clock may be off
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_ADAPTER = "annotation_site.accounts.adapters.SecondFactorAdapter"
SOCIALACCOUNT_ADAPTER = "annotation_site.accounts.adapters.LoginServiceAdapter"

# Without EMAIL_URL nothing is mailed, and admins hand out reset links instead.
MAIL_IS_SET_UP = bool(env.str("EMAIL_URL", ""))
if MAIL_IS_SET_UP:
    vars().update(env.email_url("EMAIL_URL"))
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", "") or f"noreply@{_site.hostname}"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # and those with a folder in locale/: docs/extending.md
LOCALE_PATHS = [BASE_DIR / "annotation_site" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = f"{_folder}/static/"
WHITENOISE_STATIC_PREFIX = "/static/"  # as requests arrive
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "annotation_site.static_files.ModuleManifestStorage"},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotation_site.api.authentication.TokenAuthentication",
        "annotation_site.api.authentication.PageSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["annotation_site.api.permissions.MayCall"],
    "DEFAULT_THROTTLE_CLASSES": ["annotation_site.api.throttling.TokenThrottle"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "annotation_site.api.negotiation.AlwaysJSON",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotation_site.api.parsers.ShallowJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "annotation_site.api.schema.CallSchema",
    "EXCEPTION_HANDLER": "annotation_site.api.errors.error_response",
}
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", 600)  # of one person's tokens together
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105
REST_KNOX = {"TOKEN_PREFIX": "ffn_", "AUTH_HEADER_PREFIX": "Bearer"}
MIGRATION_MODULES = {"knox": None}  # its own token table is not used
SPECTACULAR_SETTINGS = {
    "TITLE": "FFN Concepts",
    "DESCRIPTION": "Everything that the pages do. docs/api.md explains it with an example.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "APPEND_COMPONENTS": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "SECURITY": [{"token": []}],
    "SORT_OPERATIONS": True,
    "POSTPROCESSING_HOOKS": [],  # choices stay where they are used, without made-up names
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # the largest request is one list's draft
# Strangers send forms too, and Django's own handlers write files of any size to disk.
FILE_UPLOAD_HANDLERS = ["annotation_site.operations.requests.NoFiles"]

MODELS_DIR = Path(env.str("MODELS_DIR", str(VAR_DIR / "models")))  # local models, by folder name
CORPORA_DIR = Path(env.str("CORPORA_DIR", str(VAR_DIR / "corpora")))  # texts for FFN updates
BUNDLES_DIR = Path(env.str("BUNDLES_DIR", str(VAR_DIR / "bundles")))
MAX_BUNDLE_BYTES = env.int("MAX_BUNDLE_BYTES", 2_000_000_000)  # that may come by page
EXPORTS_DIR = Path(env.str("EXPORTS_DIR", str(VAR_DIR / "exports")))
EXPORT_DAYS = env.int("EXPORT_DAYS", 14)  # until an exported file is removed
# Until `manage.py tidy` removes what is over: lines about extractions, ended invitations and so on.
KEEP_LOG_DAYS = env.int("KEEP_LOG_DAYS", 180)
KEEP_ENDED_DAYS = env.int("KEEP_ENDED_DAYS", 30)
REDIS_URL = env.str("REDIS_URL", "")
QUEUE_PREFIX = env.str("QUEUE_PREFIX", "ffn-concepts:")  # keys in Redis begin with it

METRICS_TOKEN = env.str("METRICS_TOKEN", "")  # without it there is no page of metrics
LOG_FORMAT = env.str("LOG_FORMAT", "text")
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}; it can be text or json.")
LOGGING = logging_settings(as_json=LOG_FORMAT == "json", level=env.str("LOG_LEVEL", "INFO"))

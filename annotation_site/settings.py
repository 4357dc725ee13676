"""Django settings of the site, from the environment; docs/deploying.md lists them.

Two variables decide between the embedded default and real services: DATABASE_URL
(SQLite in VAR_DIR when unset) and REDIS_URL (a queue of files in VAR_DIR when unset).
"""

import os
import re
from contextlib import suppress
from decimal import Decimal
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from annotation_site.environment import (
    MAKE_A_KEY,
    Environment,
    cache_folder,
    is_this_machine,
    require_language_model,
    site_folders,
    strong,
)
from annotation_site.languages import LOCALE, compile_catalogues
from annotation_site.logs import LEVELS, logging_settings

BASE_DIR, _data_folder = site_folders(os.environ)
env = Environment(os.environ)
ENV_FILE = env.folder("FFN_ENV_FILE", BASE_DIR / ".env", BASE_DIR)
env.read_file(ENV_FILE, required=bool(env.text("FFN_ENV_FILE")))

VAR_DIR = env.folder("VAR_DIR", _data_folder, BASE_DIR)
DEBUG = env.flag("DEBUG")
# Before any library of extraction looks for its cache: a service has no home to write to.
if _cache := cache_folder(VAR_DIR / "cache"):
    os.environ["XDG_CACHE_HOME"] = str(_cache)
env.pass_on("HF_HOME", env.text("HF_HOME"))
env.pass_on("HF_ENDPOINT", env.web_address("HF_ENDPOINT", example="https://huggingface.co"))
env.pass_on("HF_TOKEN", env.secret("HF_TOKEN"))
env.pass_on("FFN_DATA_DIR", env.text("FFN_DATA_DIR"))
env.pass_on("FFN_KERNEL", env.text("FFN_KERNEL"))
env.pass_on("FFN_CONTACT", env.text("FFN_CONTACT"))
env.pass_on("FFN_WIKI", env.host("FFN_WIKI", example="de.wikipedia.org"))
env.pass_on("FFN_WIKI_SECONDS", env.number("FFN_WIKI_SECONDS"))
env.pass_on("FFN_GLOSS_DAYS", env.number("FFN_GLOSS_DAYS"))


def _secret_key() -> str:
    """The key from the environment, else the file that `make demo` wrote; never a default."""
    key = env.secret("SECRET_KEY")
    file = VAR_DIR / "secret_key"
    try:
        key = key or (file.read_text().strip() if file.exists() else "")
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The secret key in {file} cannot be read: {error}.") from error
    if not key:
        raise ImproperlyConfigured(
            f"No secret key. The settings are looked for in the environment and in {ENV_FILE}. "
            "If this site is set up already, run the command with its settings: FFN_ENV_FILE names "
            "their file. For a new site, set SECRET_KEY to a long random string, for instance the "
            f"output of `{MAKE_A_KEY}`."
        )
    return strong(
        "SECRET_KEY",
        key,
        advice=" If people use this site already, put the old key into SECRET_KEY_FALLBACKS, so "
        "that their second factors are still read.",
    )


SECRET_KEY = _secret_key()
# Keys before it: they read what they signed and encrypted, and write nothing. A weak one is taken,
# because this is the way to leave it.
SECRET_KEY_FALLBACKS = [
    key.strip() for key in env.secret("SECRET_KEY_FALLBACKS").split(",") if key.strip()
]

# The address that people type decides hosts, CSRF origins and whether cookies need HTTPS.
SITE_URL = env.web_address(
    "SITE_URL", "http://127.0.0.1:8000", example="https://labels.example.org"
)
_site = urlsplit(SITE_URL)
if DEBUG and not is_this_machine(_site.hostname):
    raise ImproperlyConfigured(
        f"DEBUG is on, and SITE_URL is {SITE_URL}: its debug pages would show settings and data to "
        "everybody. Set DEBUG to false, or SITE_URL to an address of this machine such as "
        "http://127.0.0.1:8000."
    )
_https = _site.scheme == "https"
# Below a path of the host, which the proxy takes off, cookies are not for what lies beside it.
_folder = _site.path.rstrip("/")
FORCE_SCRIPT_NAME = _folder or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = f"{_folder}/"
ALLOWED_HOSTS = [_site.hostname, "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{_site.scheme}://{_site.netloc}"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _https
SECURE_SSL_REDIRECT = _https
# Asked on the machine itself, without TLS.
SECURE_REDIRECT_EXEMPT = [rf"^({re.escape(_folder[1:])}/)?(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
# The host's subdomains belong to whoever runs them, and a preload list hardly lets go again.
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = False
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
BEHIND_PROXY = env.flag("BEHIND_PROXY")
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1  # the last address of X-Forwarded-For is the one it wrote
SESSION_ENGINE = "annotation_site.accounts.sessions"
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
OIDC_ISSUER = env.web_address("OIDC_ISSUER", example="https://login.example.org").rstrip("/")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.secret("OIDC_CLIENT_SECRET")
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}
if OIDC_ISSUER:
    _issuer = urlsplit(OIDC_ISSUER)
    # Browsers hold a form's redirect to the policy as well.
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"].append(
        f"{_issuer.scheme}://{_issuer.netloc}"
    )

INSTALLED_APPS = [
    "annotation_site",  # commands and templates of the site as a whole
    "annotation_site.accounts",
    "annotation_site.corpus",
    "annotation_site.measurements",
    "annotation_site.traces",
    "annotation_site.machine_annotators",
    "annotation_site.proxies",
    "annotation_site.annotation",
    "annotation_site.results",
    "annotation_site.public",
    "annotation_site.data_sets",
    "annotation_site.workers",
    "annotation_site.notices",
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
    "annotation_site.operations.requests.NothingKept",
    "annotation_site.annotation.studies.made_up.MadeUpMiddleware",
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
    "annotation_site.annotation.crowd.guard.CrowdGuard",
    "annotation_site.accounts.throttling.WriteThrottle",
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
                "annotation_site.notices.context.unread",
            ]
        },
    }
]

DATABASES = {"default": env.database("DATABASE_URL", VAR_DIR / "db.sqlite3")}
_database = DATABASES["default"]
if _password := env.secret("DATABASE_PASSWORD"):  # any signs, which an address would not take
    _database["PASSWORD"] = _password
_database["CONN_MAX_AGE"] = 300  # a fresh connection per request costs half the throughput
_database["CONN_HEALTH_CHECKS"] = True
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        "timeout": 20,
        # A deferred transaction fails at once when it upgrades to a write; an immediate one waits.
        "transaction_mode": "IMMEDIATE",
        # What is deleted is overwritten, so that an erased name is not read from free pages.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
        "PRAGMA secure_delete=ON;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Counts failed logins for all processes together. In the database, so that
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
    "login": "annotation_site.accounts.password_forms.BoundedLoginForm",
    "reauthenticate": "annotation_site.accounts.password_forms.ConfirmForm",
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
    # By name and address; one address alone can never use up what a name has over all of them.
    "login_failed": "20/m/ip,5/5m/key",
    "login_failed_name": "30/20m/key",
    "login_failed_known": "5/5m/key",  # by name and a browser in which they have logged in before
    "reset_password": "10/m/ip,3/h/key",
    "invitation": "20/m/ip",
    "open_link": "30/m/ip,300/d/ip",  # accounts that are made by open links
}
MFA_FORMS = {
    "authenticate": "annotation_site.accounts.password_forms.CodeForm",
    "reauthenticate": "annotation_site.accounts.password_forms.CodeConfirmForm",
    "activate_totp": "annotation_site.accounts.password_forms.FactorForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "FFN Concepts"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s that a telephone's clock may be off
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_ADAPTER = "annotation_site.accounts.adapters.SecondFactorAdapter"
SOCIALACCOUNT_ADAPTER = "annotation_site.accounts.adapters.LoginServiceAdapter"

# Without EMAIL_URL nothing is mailed, and admins hand out reset links instead.
_mail = env.mail_server("EMAIL_URL")
MAIL_IS_SET_UP = bool(_mail)
if MAIL_IS_SET_UP:
    vars().update(_mail)
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.mail_address("MAIL_FROM", f"noreply@{_site.hostname}")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # docs/extending.md: how to add one
LOCALE_PATHS = [LOCALE]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
with suppress(OSError):  # a folder that cannot be written was built: its catalogues are there
    compile_catalogues()
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = f"{_folder}/static/"
WHITENOISE_STATIC_PREFIX = "/static/"  # as requests arrive
STATIC_ROOT = VAR_DIR / "static"
FILE_UPLOAD_PERMISSIONS = None  # as the umask has it: annotation_site/private_files.py
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
API_REQUESTS_PER_MINUTE = env.whole_number(
    "API_REQUESTS_PER_MINUTE", 600
)  # of one person's tokens together
# Of one person's sessions. An annotation page at its fastest saves 150 times a minute.
WRITES_PER_MINUTE = env.whole_number("WRITES_PER_MINUTE", 300)
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
    # Below a path of the host: programs that are generated from the description would leave it out.
    "SERVERS": [{"url": f"{_site.scheme}://{_site.netloc}{_folder}"}] if _folder else [],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # the largest request is one list's draft
# Strangers send forms too, and Django's own handlers write files of any size to disk.
FILE_UPLOAD_HANDLERS = ["annotation_site.operations.requests.NoFiles"]

MODELS_DIR = env.folder("MODELS_DIR", VAR_DIR / "models", BASE_DIR)  # local models, by folder name
CORPORA_DIR = env.folder("CORPORA_DIR", VAR_DIR / "corpora", BASE_DIR)  # texts for FFN updates
BUNDLES_DIR = env.folder("BUNDLES_DIR", VAR_DIR / "bundles", BASE_DIR)
MAX_BUNDLE_BYTES = env.whole_number("MAX_BUNDLE_BYTES", 2_000_000_000)  # that may come by page
EXPORTS_DIR = env.folder("EXPORTS_DIR", VAR_DIR / "exports", BASE_DIR)
_MOST_DAYS = 36_500
PUBLIC_DIR = env.folder("PUBLIC_DIR", VAR_DIR / "public", BASE_DIR)  # pages that all may read
EXPORT_DAYS = env.whole_number("EXPORT_DAYS", 14, most=_MOST_DAYS)  # until a file is removed
# Until `manage.py tidy` removes what is over: lines about extractions, ended invitations and so on.
KEEP_LOG_DAYS = env.whole_number("KEEP_LOG_DAYS", 180, least=0, most=_MOST_DAYS)
KEEP_ENDED_DAYS = env.whole_number("KEEP_ENDED_DAYS", 30, least=0, most=_MOST_DAYS)
KEEP_NOTICE_DAYS = env.whole_number("KEEP_NOTICE_DAYS", 60, least=0, most=_MOST_DAYS)
TRACE_DAYS = env.whole_number("TRACE_DAYS", 30, least=1, most=_MOST_DAYS)  # of a prompt
REDIS_URL = env.broker("REDIS_URL")
QUEUE_PREFIX = env.text("QUEUE_PREFIX", "ffn-concepts:")  # keys in Redis begin with it

# The language model that annotates as a machine annotator; none without a name. With an endpoint it
# is a model there, else one that the site's own workers run.
LLM_MODEL = env.text("LLM_MODEL")
LLM_ENDPOINT = env.web_address("LLM_ENDPOINT", example="https://api.example.org/v1")
LLM_API_KEY = env.key("LLM_API_KEY")
LLM_PRICE_INPUT = env.price("LLM_PRICE_INPUT")  # of a million tokens
LLM_PRICE_OUTPUT = env.price("LLM_PRICE_OUTPUT")
LLM_CURRENCY = env.text("LLM_CURRENCY", "USD")
LLM_BUDGET = env.price("LLM_BUDGET")  # of all runs in 30 days
LLM_KEEP_DAYS = env.whole_number("LLM_KEEP_DAYS", 90, most=_MOST_DAYS)  # requests and replies
LLM_PARALLEL = env.whole_number("LLM_PARALLEL", 4, most=64)  # requests at once
LLM_SECONDS = env.whole_number("LLM_SECONDS", 60, most=3_600)  # of one request
LLM_REPLY_TOKENS = env.whole_number("LLM_REPLY_TOKENS", 1_000, most=100_000)  # most of one reply
require_language_model(LLM_ENDPOINT, LLM_MODEL, LLM_CURRENCY)
if LLM_PRICE_INPUT is not None or LLM_PRICE_OUTPUT is not None:  # one of the two can be free
    LLM_PRICE_INPUT = LLM_PRICE_INPUT or Decimal(0)
    LLM_PRICE_OUTPUT = LLM_PRICE_OUTPUT or Decimal(0)
elif LLM_BUDGET is not None:
    raise ImproperlyConfigured(
        "LLM_BUDGET is set without prices. Set LLM_PRICE_INPUT and LLM_PRICE_OUTPUT too."
    )

# Without it there is no page of metrics.
METRICS_TOKEN = strong("METRICS_TOKEN", env.secret("METRICS_TOKEN"))
LOG_FORMAT = env.choice("LOG_FORMAT", "text", ("text", "json"))
LOGGING = logging_settings(
    as_json=LOG_FORMAT == "json", level=env.choice("LOG_LEVEL", "INFO", LEVELS)
)
MISTYPED_SETTINGS = env.mistyped()

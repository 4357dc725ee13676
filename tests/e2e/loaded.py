"""What each process of a site may load of other people's packages, and what one has loaded.

Whatever is not named here is a decision: it costs memory in each process and time at each start.
torch, pandas, scipy, matplotlib, pyarrow and the like come with the first task that needs them.
"""

import sys
from collections.abc import Iterable

OURS = {"annotation_site", "ffn_extract", "tests"}
_DJANGO = {
    "allauth", "asgiref", "csp", "django", "django_htmx", "dotenv", "drf_spectacular", "environ",
    "knox", "rest_framework", "sqlparse", "whitenoise", "yaml",
}  # fmt: skip
_QUEUE = {"amqp", "billiard", "celery", "click", "dateutil", "kombu", "msgpack", "tzlocal", "vine"}
# Where they are installed.
_QUEUE |= {"greenlet", "six", "cffi", "_cffi_backend", "pycparser", "redis"}
# The documentation's tools bring these; Django and its REST framework load them then.
_DJANGO |= {"colorama", "markdown", "htmlparser"}
_LOGIN = {  # allauth's providers and second factors
    "certifi", "charset_normalizer", "chardet", "cryptography", "fido2", "idna", "requests",
    "urllib3",
}  # fmt: skip
_PAGES = {"huggingface_hub", "markdown_it", "mdurl", "nh3", "qrcode", "tqdm"}
_PAGES |= {"inflection", "psycopg2", "pygments", "uritemplate"}  # Django REST framework's own
_EVERYWHERE = _DJANGO | _QUEUE | _LOGIN | {"numpy"}
_SERVER = {"gunicorn", "packaging", "prometheus_client", "setproctitle"}
MAY_LOAD: dict[str, set[str]] = {
    "serve": _EVERYWHERE,
    "web parent": _EVERYWHERE | _PAGES | _SERVER,
    "web": _EVERYWHERE | _PAGES | _SERVER,
    "worker": _EVERYWHERE
    | _PAGES
    | {"click_didyoumean", "click_plugins", "click_repl", "prompt_toolkit", "wcwidth"}
    | {"typing_extensions"},
}
"""By process. A worker of either queue, and its children, before their first task."""


def packages_of(modules: Iterable[str]) -> set[str]:
    """The packages of other people among modules, without what Python and its start brought."""
    own = set(sys.stdlib_module_names) | OURS
    found = {name.partition(".")[0] for name in modules}
    made_up = ("_cython", "cython_runtime", "_distutils_hack", "_sysconfigdata", "__", "_openssl")
    return {name for name in found - own if not name.startswith((*made_up, "sitecustomize"))}

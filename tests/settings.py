"""The site's settings, for tests.

By default SQLite and the queue of files. With FFN_TEST_SERVICES=1 the same tests run on the
PostgreSQL of TEST_DATABASE_URL and the Redis of TEST_REDIS_URL, in a database and under a key
prefix of their own; nothing is ever flushed.
"""

import atexit
import os
import secrets
import shutil
import tempfile

os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="ffn-concepts-tests-")
os.mkdir(os.environ["VAR_DIR"] + "/static")
atexit.register(shutil.rmtree, os.environ["VAR_DIR"], ignore_errors=True)
os.environ["SECRET_KEY"] = secrets.token_hex(32)
os.environ["SITE_URL"] = "http://testserver"
if os.environ.get("FFN_TEST_SERVICES") == "1":
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    os.environ["REDIS_URL"] = os.environ["TEST_REDIS_URL"]
else:
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("REDIS_URL", None)
os.environ["QUEUE_PREFIX"] = f"ffn-concepts-tests-{secrets.token_hex(4)}:"

from annotation_site.settings import *  # noqa: E402, F403
from annotation_site.settings import DATABASES, STORAGES  # noqa: E402

# Not the process's id: machines and containers that share a server have the same ones.
DATABASES["default"]["TEST"] = {"NAME": f"test_ffn_concepts_{secrets.token_hex(4)}"}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file rather than memory, so that threads meet as they do in production.
    DATABASES["default"]["TEST"] = {"NAME": os.environ["VAR_DIR"] + "/test.sqlite3"}
    # A queue of 32 threads for the one lock, on a machine that does other things, too, takes
    # longer than people are let wait; how long they wait is the question of tests/e2e/test_load.py.
    DATABASES["default"]["OPTIONS"]["timeout"] = 300
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; tests have no secrets

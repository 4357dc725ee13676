import subprocess
import sys

import pytest

from annotation_site.analysis.stopwords import is_stopword, propose_stopwords_flag


@pytest.mark.parametrize(
    "text", ["the", "The", "WHICH", "of", ",", "...", "…", "—", "“", "$", "€", "+=", "‽", "‰"]
)
def test_function_words_punctuation_and_symbols_are_stopwords(text: str) -> None:
    assert is_stopword(text)


@pytest.mark.parametrize("text", ["Paris", "n't", "a1", "12", "½", "", " ", "\n", "the ", "東"])
def test_words_pieces_digits_and_white_space_are_not(text: str) -> None:
    assert not is_stopword(text)


@pytest.mark.parametrize(
    ("members", "proposed"),
    [
        ([], False),
        ([True], True),
        ([True, False], False),
        ([True, True, False], True),
        ([True, True, False, False], False),
    ],
)
def test_the_flag_is_proposed_above_one_half(members: list[bool], proposed: bool) -> None:
    assert propose_stopwords_flag(members) is proposed


def test_importing_it_loads_no_heavy_package() -> None:
    program = (
        "import sys, annotation_site.analysis.stopwords\n"
        "print(sorted({'sklearn', 'scipy', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"

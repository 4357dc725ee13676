"""docs/reliability.md names tests that there are, and every test of a fault is in it."""

import re

from tests.e2e.site import ROOT

TEXT = (ROOT / "docs" / "reliability.md").read_text()
NAMED = set(re.findall(r"`(test_\w+)`", TEXT))


def defined(folder: str) -> set[str]:
    return {
        name
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_each_row_names_a_test_that_there_is():
    assert NAMED - defined(".") == set()
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "| fault |" not in line]
    assert [row for row in rows if "`test_" not in row] == []


def test_every_fault_that_is_tested_is_in_the_table():
    beside_faults = {
        "test_each_row_names_a_test_that_there_is",
        "test_every_fault_that_is_tested_is_in_the_table",
        "test_both_servers_stop_on_ctrl_c_and_start_again",
        "test_one_worker_with_two_children_makes_the_bundle_of_a_single_process",
        "test_a_model_of_the_hub_is_shared_by_workers_and_one_that_is_not_there_says_so",
        "test_work_of_the_living_is_left_alone_by_clocks_that_differ_a_little",
    }
    assert defined("faults") - NAMED == beside_faults

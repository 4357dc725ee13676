"""Hands on the annotation page."""

from playwright.sync_api import Page, expect

from tests.annotation_site.js.stub import Stub


def open_list(page: Page, stub: Stub, n: int) -> None:
    page.goto(stub.address + stub.url(n))
    page.locator("html[data-ready]").wait_for(state="attached")


def press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def members(page: Page, number: int) -> list[int]:
    marks = page.locator(".row .marks").all_text_contents()
    return [rank for rank, text in enumerate(marks, 1) if str(number) in text]


def expect_saved(page: Page) -> None:
    expect(page.locator("#save-state")).to_have_text("Saved")


def expect_list(page: Page, position: int) -> None:
    expect(page.locator("#position")).to_have_text(f"List {position} of 3")


def reload(page: Page) -> None:
    page.reload()
    page.locator("html[data-ready]").wait_for(state="attached")


def row(page: Page, rank: int):
    return page.locator(f'.row[data-rank="{rank}"]')

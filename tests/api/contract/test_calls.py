"""What of a path may stand in a log: ids, numbers and words of our own routes; never what a person called a thing."""

import re

import pytest

from api.app import create_api
from api.contract.calls import WORDS, plain
from api.tiles.open_files import SlideFiles


def test_every_word_of_our_routes_may():
    for path in create_api(SlideFiles()).openapi()["paths"]:
        assert {part for part in path.split("/") if part and "{" not in part} <= WORDS, path


@pytest.mark.parametrize(
    "name", ["doe_john.svs", "DOE^JOHN.svs", "john.doe", "doe-john", "abba", "1955-03-02", "a" * 45]
)
def test_a_name_may_not(name):
    for path in (f"/api/v1/slides/{name}", f"/{name}", f"/api/v1/slides/{name}/tiles/0/0_0.jpeg"):
        assert name not in plain(path)


def test_what_is_ours_stays():
    kept = f"/api/v1/slides/{'0a' * 16}/tiles/0/12_3.jpeg"
    assert plain(kept) == kept
    assert re.fullmatch(r"/api/v1/slides/…/…", plain("/api/v1/slides/x/y"))

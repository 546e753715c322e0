"""The browser's files as they are served: every name says which version it is."""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command
from django.test import override_settings

from hlcopy.staticfiles import HashedModulesStorage

IMPORT = re.compile(r"""\bfrom\s*["']([^"']+)["']""")
HASHED = re.compile(r"\./[a-z_]+\.[0-9a-f]{12}\.js")


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    root = tmp_path_factory.mktemp("static")
    storage = {"BACKEND": "hlcopy.staticfiles.HashedModulesStorage"}
    with override_settings(STATIC_ROOT=str(root), STORAGES={"staticfiles": storage}):
        call_command("collectstatic", "--noinput", verbosity=0)
        yield root, HashedModulesStorage()


def test_a_module_imports_the_versions_that_it_was_written_for(collected):
    root, storage = collected
    modules = [path for path in (root / "web").glob("*.js") if path.name.count(".") == 1]
    imports = 0
    for module in modules:
        served = root / storage.stored_name(f"web/{module.name}")
        for name in IMPORT.findall(served.read_text()):
            imports += 1
            assert HASHED.fullmatch(name), f"{module.name} imports {name}"
            assert (served.parent / name).is_file()
    assert imports > len(modules)


def test_a_file_comes_whole_in_part_and_not_again(client):
    path = "/static/web/hlcopy.css"
    whole = client.get(path)
    assert not whole.streaming
    assert whole["Content-Type"].startswith("text/css")
    assert len(whole.content) == int(whole["Content-Length"]) > 1000

    part = client.get(path, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    again = client.get(path, headers={"if-modified-since": whole["Last-Modified"]})
    assert (again.status_code, again.content) == (304, b"")
    headers = client.head(path)
    assert (headers.status_code, headers.content) == (200, b"")
    assert headers["Content-Length"] == whole["Content-Length"]

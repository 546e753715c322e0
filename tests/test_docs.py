"""What people set and type is documented: every setting and every command of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlcopy.configuration import Configuration

CHECKOUT = Path(__file__).parent.parent
OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text()
EXAMPLE = (CHECKOUT / ".env.example").read_text()
SETTINGS = [name.upper() for name in Configuration.__struct_fields__]
# Set by `manage.py up --demo` for its children, by nobody else.
OF_THE_DEMO = {"HLCOPY_DEMO", "HLCOPY_REPLAY"}
COMMANDS = sorted(
    path.stem
    for path in CHECKOUT.glob("*/management/commands/*.py")
    if not path.stem.startswith("_") and ".venv" not in path.parts
)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_in_the_operators_table(name):
    assert f"`{name}`" in OPERATIONS


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - OF_THE_DEMO))
def test_every_setting_is_in_the_example(name):
    assert f"{name}=" in EXAMPLE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_documentation(name):
    documents = "".join(path.read_text() for path in (CHECKOUT / "docs").glob("*.md"))

    assert f"manage.py {name}" in documents or f"`{name}`" in documents

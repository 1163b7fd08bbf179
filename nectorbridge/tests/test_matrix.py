"""The table of providers in the docs is the modules' own."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from integrations.providers import all_providers
from nectorbridge import matrix


def test_the_page_is_up_to_date():
    assert matrix.PATH.read_text() == matrix.render(), "run: manage.py featurematrix"


def test_it_has_a_column_for_every_provider_and_a_row_for_every_fact():
    lines = [line for line in matrix.render().splitlines() if line.startswith("|")]
    assert len(lines) == len(matrix.ROWS) + 2
    assert {line.count(" | ") for line in lines} == {len(all_providers())}
    assert all(f"[{provider.label}]({provider.slug}.md)" in lines[0] for provider in all_providers())


def test_the_command_writes_it_and_can_tell_that_it_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr("nectorbridge.management.commands.featurematrix.PATH", tmp_path / "README.md")
    with pytest.raises(CommandError, match="out of date"):
        call_command("featurematrix", "--check")
    call_command("featurematrix")
    call_command("featurematrix", "--check")

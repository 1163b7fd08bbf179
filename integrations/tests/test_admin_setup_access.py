"""Who may open and change an integration: never staff of another merchant; viewers look only."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from integrations.models import Integration, Status
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_setup import VALUES, save, text, url_of
from integrations.verification import set_status

VERBS = ("initialize", "discard", "pause", "resume", "disconnect", "delete")


class TestWhoMay:
    """Staff of another merchant, and viewers."""

    def test_another_merchants_integration_does_not_exist(self, stranger, integration):
        for verb in ("change", "history", "delete", "progress", "initialize", "discard", "pause", "resume", "disconnect"):
            for answer in (stranger.get(url_of(integration, verb)), stranger.post(url_of(integration, verb), VALUES)):
                assert answer.status_code in (302, 403, 404), verb
                assert url_of(integration) not in answer.headers.get("Location", "")
                assert b"K97" not in answer.content
        integration.refresh_from_db()
        assert (integration.status, integration.settings["account_id"]) == (Status.DRAFT, "K97-K78-1234")

    @pytest.mark.parametrize("object_id", ["0", "999999", "abc", "1_5F"])
    def test_what_does_not_exist_is_not_found(self, staff, integration, object_id):
        for verb in ("change", "progress", "initialize", "discard", "pause", "resume", "disconnect"):
            url = reverse(f"admin:integrations_integration_{verb}", args=[object_id])
            assert staff.get(url).status_code == staff.post(url, VALUES).status_code == 404

    def test_a_viewer_sees_everything_without_buttons(self, viewer, integration):
        page = text(viewer.get(url_of(integration)))

        assert "K97-K78-1234" in page
        assert "in1: India" in page
        assert CANARY not in page
        for piece in ('name="_save"', 'name="_initialize"', '<input type="password"', "Yes, pause", "Yes, disconnect"):
            assert piece not in page

    def test_a_viewer_changes_nothing(self, viewer, integration):
        set_status(integration, Status.ACTIVE, initialized_at=timezone.now())

        answers = [save(viewer, integration, follow=False, account_id="EVIL")]
        answers += [viewer.post(url_of(integration, verb)) for verb in VERBS]

        assert {answer.status_code for answer in answers} == {403}
        integration.refresh_from_db()
        assert (integration.status, integration.settings["account_id"]) == (Status.ACTIVE, "K97-K78-1234")

    def test_an_anonymous_visitor_is_sent_to_the_login_page(self, client, integration):
        for verb in ("change", "progress", "initialize", "discard", "pause", "resume", "disconnect"):
            answer = client.post(url_of(integration, verb), VALUES)
            assert answer.status_code == 302
            assert "/login/" in answer.url

    def test_only_administrators_delete(self, staff, administrator, integration):
        assert staff.post(url_of(integration, "delete"), {"post": "yes"}).status_code == 403
        assert administrator.post(url_of(integration, "delete"), {"post": "yes"}).status_code == 302
        assert not Integration.objects.exists()

    def test_nobody_adds_one_past_the_catalogue(self, administrator):
        assert administrator.get(reverse("admin:integrations_integration_add")).status_code == 403

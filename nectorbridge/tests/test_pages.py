"""The pages that show when something else does not: they must hold without the admin around them."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format


@pytest.mark.parametrize("name", ["403", "403_csrf", "404", "500"])
def test_an_error_page_needs_no_context_no_other_file_and_no_script(name):
    text = render_to_string(f"{name}.html")
    assert "Nectorbridge" in text and 'href="/"' in text
    assert "<script" not in text and "<link" not in text and "src=" not in text


@pytest.mark.django_db
def test_an_unknown_address_says_so_in_our_words(admin_client):
    answer = admin_client.get("/admin/nothing/here/")
    assert answer.status_code == 404 and "There is no such page" in answer.content.decode()


@pytest.mark.django_db
def test_a_wrong_password_gets_one_sentence():
    text = Client().post("/admin/login/", {"username": "nobody", "password": "wrong"}).content.decode()
    assert "Please enter the correct username and password" in text
    assert "Please correct the error" not in text and "An administrator can set a new one" in text


@pytest.mark.django_db
def test_logging_in_leads_back_to_the_page_that_was_asked_for(django_user_model):
    django_user_model.objects.create_superuser("ada", password="a-Long-Enough-Word-7")
    values = {"username": "ada", "password": "a-Long-Enough-Word-7"}
    answer = Client().post("/admin/login/?next=/admin/events/eventdelivery/", values)
    assert answer.url == "/admin/events/eventdelivery/"


def test_dates_are_written_day_first_everywhere():
    moment = timezone.datetime(2026, 3, 1, 17, 5)
    assert date_format(moment, "DATETIME_FORMAT") == "1 Mar 2026, 17:05"

"""The pages that show when something else does not: they must hold without the admin around them."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
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


def test_browsers_that_look_for_an_icon_by_themselves_find_it(client):
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    assert answer.content.startswith(b"<svg") and "max-age" in answer["Cache-Control"]
    assert client.post("/favicon.ico").status_code == 405


def test_every_bar_of_progress_has_a_style():
    styles = "".join(path.read_text() for path in settings.BASE_DIR.glob("*/static/**/*.css"))
    pages = [page.read_text() for page in settings.BASE_DIR.glob("templates/**/*.html")]
    bars = [bar for page in pages for bar in re.findall(r"<progress [^>]*", page)]
    unstyled = [bar for bar in bars if not any(f".{name} {{" in styles for name in re.search('class="([^"]*)"', bar)[1].split())]
    assert unstyled == [] and len(bars) > 4

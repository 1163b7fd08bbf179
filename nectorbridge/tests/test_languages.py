"""The product speaks its languages: the catalogs hold what is marked, and whoever chooses a language gets it."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from gettext import GNUTranslations
from io import BytesIO, StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.formats import date_format, number_format
from django.utils.timezone import datetime

from events import record
from events.models import EventDelivery
from nectorbridge.languages.catalog import Catalog, Entry, compiled, faults, read, text_of
from nectorbridge.languages.marked import Word, in_python, in_template
from nectorbridge.languages.upkeep import languages, states
from nectorbridge.testing import make

STATES = [
    pytest.param(state, id=f"{state.path.parts[-5]}-{state.path.stem}-{code}") for code in languages() for state in states(code)
]
HEAD = {"Content-Type": "text/plain; charset=UTF-8", "Plural-Forms": "nplurals=2; plural=(n != 1);"}
GETTEXT = pytest.mark.skipif(not (shutil.which("xgettext") and shutil.which("msgfmt")), reason="gettext is not installed")
INDEX = "/admin/login/"
MACHINES = r' (?:value|max|min|step|datetime|width|height|data-utc[\w-]*)="([\d.,:T+Z-]+)"'


@pytest.fixture
def hindi(admin_user) -> Client:
    """An administrator whose browser asks for Hindi."""
    client = Client(headers={"accept-language": "hi"})
    client.force_login(admin_user)
    return client


# --- Catalogs ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", STATES)
def test_a_catalog_holds_what_is_marked_and_is_compiled(state):
    assert state.is_written, "run: manage.py messages"


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_left_untranslated(state):
    assert state.missing == []


@pytest.mark.parametrize("state", STATES)
def test_a_translation_keeps_placeholders_and_tags(state):
    assert state.faults == []


def test_python_and_templates_are_read_for_what_they_mark():
    lines = (
        'pgettext("go there", "Open")',
        '_("One" " text")',
        'ngettext("%(n)s row", "%(n)s rows", n)',
        '_(name) + other("No")',
        """f"{_('In braces') if 1 else 2}\"""",
    )
    wanted = [Word("Open", context="go there"), Word("One text"), Word("%(n)s row", "%(n)s rows"), Word("In braces")]
    assert list(in_python("\n".join(lines))) == wanted
    page = """{% load i18n %}No {% translate "It's one" %} {% translate "Open" context "go there" %}
        {% blocktranslate count n=n %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}
        {% include "a.html" with title=_("Title") %} {% blocktranslate trimmed %}
            Two
            lines, 10 %{% endblocktranslate %}"""
    wanted = [
        Word("It's one"),
        Word("Open", context="go there"),
        Word("%(n)s row", "%(n)s rows"),
        Word("Title"),
        Word("Two lines, 10 %%"),
    ]
    assert list(in_template(page)) == wanted


def test_a_catalog_is_read_as_it_was_written_and_compiled_as_python_reads_it(tmp_path):
    entries = [
        Entry(Word('A "word"\nand %(more)s'), ['एक "शब्द"\nऔर %(more)s'], ["a.py", "b.html"]),
        Entry(Word("%(n)s row", "%(n)s rows"), ["%(n)s पंक्ति", "%(n)s पंक्तियाँ"]),
        Entry(Word("Nothing yet"), [""]),
        Entry(Word("Open", context="go there"), ["खोलें"]),
        Entry(Word("A guess"), ["अनुमान"], is_fuzzy=True),
    ]
    catalog = Catalog(HEAD, {entry.word.key: entry for entry in entries})
    path = tmp_path / "django.po"
    path.write_text(text_of(catalog))
    assert read(path) == catalog

    python = GNUTranslations(BytesIO(compiled(catalog)))
    assert python.gettext('A "word"\nand %(more)s') == 'एक "शब्द"\nऔर %(more)s'
    assert [python.ngettext("%(n)s row", "%(n)s rows", n) for n in (1, 2)] == ["%(n)s पंक्ति", "%(n)s पंक्तियाँ"]
    assert python.pgettext("go there", "Open") == "खोलें" and python.gettext("Open") == "Open"
    assert python.gettext("Nothing yet") == "Nothing yet" and python.gettext("A guess") == "A guess"


@pytest.mark.parametrize(
    ("text", "translation_", "is_right"),
    [
        ("%(n)s of %(m)s", "%(m)s में से %(n)s", True),
        ("%(n)s of %(m)s", "%(n)s", False),
        ("Hello {name}", "नमस्ते {naam}", False),
        ('See <a href="%(url)s">it</a>', '<a href="%(url)s">इसे</a> देखें', True),
        ('See <a href="%(url)s">it</a>', "इसे देखें %(url)s", False),
        (" and", "और", False),
    ],
)
def test_what_a_translation_lost_is_seen(text, translation_, is_right):
    assert (faults(Entry(Word(text), [translation_])) == []) is is_right


def test_one_may_be_said_in_words_but_not_many():
    assert faults(Entry(Word("One row", "%(n)s rows"), ["एक पंक्ति", "%(n)s पंक्तियाँ"])) == []
    assert faults(Entry(Word("One row", "%(n)s rows"), ["एक पंक्ति", "पंक्तियाँ"])) != []


@GETTEXT
def test_gettext_itself_finds_no_more_and_no_fault(tmp_path):
    names = [name for folder in ("integrations", "events", "nectorbridge") for name in _sources(folder)]
    keywords = [
        "_",
        "gettext",
        "gettext_lazy",
        "gettext_noop",
        "ngettext:1,2",
        "ngettext_lazy:1,2",
        "pgettext:1c,2",
        "pgettext_lazy:1c,2",
    ]
    command = ["xgettext", "--language=Python", "--from-code=UTF-8", "--output", str(tmp_path / "all.po")]
    subprocess.run(
        [*command, *(f"--keyword={word}" for word in keywords), *names], check=True, cwd=settings.BASE_DIR, capture_output=True
    )
    ours = {text for code in languages() for state in states(code) for text in state.catalog.entries}
    assert set(read(tmp_path / "all.po").entries) - ours == set()
    for code in languages():
        for state in states(code):
            subprocess.run(["msgfmt", "--check-format", "--output", "/dev/null", state.path], check=True, capture_output=True)


def _sources(folder: str) -> list[str]:
    found = (settings.BASE_DIR / folder).rglob("*.py")
    left_out = {"tests", "migrations", "testing"}
    return [str(path) for path in found if not left_out & set(path.parts)]


def test_the_command_says_how_far_the_catalogs_are(capsys):
    call_command("messages", "--check")
    assert "integrations/locale/hi/LC_MESSAGES/django.po" in capsys.readouterr().out


# --- Choosing ------------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_english_is_what_everybody_gets_who_asks_for_nothing():
    text = Client().get(INDEX).content.decode()
    assert '<html lang="en"' in text and "Log in" in text


@pytest.mark.django_db
def test_a_browser_that_prefers_hindi_gets_it():
    assert '<html lang="hi"' in Client(headers={"accept-language": "hi-IN,hi;q=0.9,en;q=0.5"}).get(INDEX).content.decode()


@pytest.mark.django_db
def test_the_choice_leads_back_to_the_page_and_is_remembered_across_log_ins(django_user_model):
    client = Client()
    page = client.get(INDEX).content.decode()
    assert 'name="language" value="hi"' in page and "हिंदी" in page
    answer = client.post("/i18n/setlang/", {"language": "hi"}, headers={"referer": f"http://testserver{INDEX}"})
    assert (answer.status_code, answer.url) == (302, f"http://testserver{INDEX}")
    cookie = client.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert cookie["max-age"] == 365 * 24 * 3600 and cookie["httponly"] and cookie["samesite"] == "Lax"

    client.force_login(django_user_model.objects.create_superuser("ada"))
    page = client.get("/admin/").content.decode()
    assert '<html lang="hi"' in page and 'name="language" type="hidden" value="en"' in page
    client.post("/admin/logout/")
    assert '<html lang="hi"' in client.get(INDEX).content.decode()


@pytest.mark.django_db
def test_pages_are_in_hindi(hindi):
    integration = make.integration()
    assert "पासवर्ड" in Client(headers={"accept-language": "hi"}).get(INDEX).content.decode()
    shown = {
        "/admin/": "होम",
        reverse("admin:integrations_integration_change", args=[integration.pk]): "इनिशियलाइज़",
        reverse("admin:events_statistics", args=[integration.pk]): "आँकड़े",
        "/nowhere/": "ऐसा कोई पेज नहीं",
    }
    for path, words in shown.items():
        text = hindi.get(path).content.decode()
        assert '<html lang="hi"' in text and words in text, path


@pytest.mark.django_db
def test_what_a_form_refuses_is_said_in_hindi(hindi):
    path = reverse("admin:events_eventdefinition_add")
    answer = hindi.post(path, {"integration": make.integration().pk, "trigger": "walletreward_create", "holdout_percent": "x"})
    said = [error for errors in answer.context["adminform"].form.errors.values() for error in errors]
    assert said and all(re.search("[\u0900-\u097f]", error) for error in said)
    password = hindi.post("/admin/password_change/", {"old_password": "no", "new_password1": "1", "new_password2": "1"})
    assert "यह पासवर्ड बहुत छोटा है। इसमें कम से कम 8 अक्षर होने चाहिए।" in password.content.decode()


@pytest.mark.django_db
def test_what_machines_read_is_the_same_in_every_language(hindi, admin_client):
    definition = make.definition()
    record(make.activity(definition.integration.merchant, properties={"coins": 1234567, "balance": 1234567.5, "operation": "cr"}))
    delivery = EventDelivery.objects.get()
    assert delivery.payload["coins"] == 1234567
    page = reverse("admin:events_eventdelivery_change", args=[delivery.pk])
    for path in (page, reverse("admin:events_eventdefinition_change", args=[definition.pk])):
        machine = [re.findall(MACHINES, client.get(path).content.decode()) for client in (hindi, admin_client)]
        assert machine[0] == machine[1] and machine[0]
    files = [
        "".join(map(bytes.decode, client.get(reverse("admin:events_eventdelivery_export")))) for client in (hindi, admin_client)
    ]
    rows = [list(csv.reader(StringIO(text)))[1] for text in files]
    assert [rows[0][number] for number in (0, 7, 8, 10)] == [rows[1][number] for number in (0, 7, 8, 10)]


@pytest.mark.parametrize("name", ["403", "403_csrf", "404", "500"])
def test_an_error_page_says_which_language_it_is_in(name):
    assert '<html lang="en">' in render_to_string(f"{name}.html")
    with translation.override("hi"):
        assert '<html lang="hi">' in render_to_string(f"{name}.html")


# --- Numbers and dates ---------------------------------------------------------------------------------------------------
def test_hindi_groups_by_lakh_and_writes_dates_day_first():
    with translation.override("hi"):
        assert number_format(12345678.5, 2, force_grouping=True) == "1,23,45,678.50"
        assert date_format(datetime(2026, 1, 1, 17, 5), "DATETIME_FORMAT") == "1 जन 2026, 17:05"
    assert number_format(12345678.5, 2, force_grouping=True) == "12,345,678.50"

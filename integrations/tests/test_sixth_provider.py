"""A provider that nobody has seen before: one class, and it conforms, is offered, set up and delivered to. No migration."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import responses
from django.core.management import call_command
from django.urls import reverse

from events import record_many
from events.drain import drain
from events.models import Contact, EventDelivery
from integrations import providers
from integrations.models import Integration, Status
from integrations.providers.attributes import attributes_of, news_of
from integrations.providers.base import (
    Account,
    Call,
    Fault,
    Field,
    Guide,
    InvalidName,
    Limits,
    Outcome,
    Packed,
    Provider,
    Reading,
    Record,
    Request,
    Step,
    Verdict,
    Verification,
)
from integrations.providers.batching import batches
from integrations.providers.values import digest, dumps, email_or_none, scalar
from integrations.tests import conformance
from nectorbridge.testing import make

HOST = "https://api.owlpost.example"
CHECK_FIX = "Ask the owlery for a new whistle."


class OwlPost(Provider):
    """Letters to people, three a bird."""

    slug = "owlpost"
    label = "Owl Post"
    category = "Feathers"
    docs_url = "https://owlpost.example/docs"
    limits = Limits(records_per_call=3, bytes_per_call=20_000, calls_in_flight=2, contacts_per_call=3)
    identities = (("email", "Email"),)
    fields = (
        Field("whistle", "Whistle", "In the owlery, on the hook.", "hoo-hoo", "No bird comes.", secret=True),
        Field("size", "Bird", "Ask the keeper.", choices=(("snowy", "Snowy"), ("eagle", "Eagle"))),
    )
    guide = Guide(
        purpose="Letters at breakfast.",
        before=("An owlery.",),
        steps=(
            Step("Whistle", "Copy it.", ("whistle", "size")),
            Step("Common property", "Email.", ("common_property",)),
            Step("Initialize", "We call a bird."),
        ),
        check=("The window is open.",),
    )

    def event_name(self, name):
        if not name.strip():
            raise InvalidName("Give the event a name.")
        return name.strip()

    def identity(self, recipient, common_property):
        return email_or_none(recipient.get("email"))

    def verify_steps(self, account):
        answer = yield self._request(account, "GET", "/whistle", b"")
        if isinstance(answer, Fault) or answer.status not in (200, 401):
            return Verification(False, "No bird was seen.", CHECK_FIX, reachable=False)
        body = answer.json()
        if answer.status == 200 and not isinstance(body, dict):
            return Verification(False, "Something came that was no bird.", CHECK_FIX, reachable=False)
        if answer.status == 200 and body.get("hoo") is True:
            return Verification(True, detail="A bird came.")
        return Verification(False, "No bird came.", CHECK_FIX)

    def pack_events(self, account, events, profiles, now):
        letters, skipped = {}, {}
        for event in events:
            if self.identity(event.recipient, "email") is None:
                skipped[event.delivery_id] = "The customer has no email."
                continue
            group = letters.setdefault(event.customer_ref, [])
            if not group and event.customer_ref in profiles:
                group += self._news(profiles[event.customer_ref])
            values = {key: value for key, value in _flat(event.properties) if value is not None}
            letter = {"to": self.identity(event.recipient, "email"), "about": event.name, "id": event.delivery_id, "says": values}
            group.append((dumps(letter), Record(delivery_id=event.delivery_id)))
        return Packed(tuple(self._calls(account, letters.values())), skipped)

    def pack_contacts(self, account, profiles, now, bulk=False):
        return Packed(tuple(self._calls(account, [self._news(profile) for profile in profiles])))

    def _news(self, profile):
        email = self.identity(profile.recipient, "email")
        data = {"name": str(profile.recipient.get("name") or "")} | attributes_of(profile, lambda moment: moment.isoformat())
        profile_hash = digest({"email": email, **news_of(data)})
        if email is None or profile_hash == profile.pushed_hash:
            return []
        return [(dumps({"whois": email, **data}), Record(customer_ref=profile.customer_ref, profile_hash=profile_hash))]

    def _calls(self, account, groups):
        for batch in batches(groups, self.limits):
            body = f'{{"letters":[{",".join(batch.parts)}]}}'.encode()
            yield Call(self._request(account, "POST", "/fly", body), tuple(batch.records))

    def _request(self, account: Account, method, path, body):
        headers = {"Whistle": account.secrets.get("whistle", ""), "Content-Type": "application/json"}
        return Request(method, f"{account.base_url or HOST}{path}", headers, body, frozenset({"Whistle"}))

    def read(self, call, answer):
        body = answer.json()
        if answer.status in (401, 403):
            return Reading(Verdict(Outcome.CONFIGURATION, str(answer.status), "No bird came."))
        if answer.status == 200 and isinstance(body, dict) and isinstance(body.get("lost"), list):
            lost = {key: Verdict(Outcome.PERMANENT, "lost", "Eaten.") for key in call.delivery_ids if key in body["lost"]}
            contacts = frozenset(record.customer_ref for record in call.records if record.customer_ref)
            return Reading(Verdict(Outcome.ACCEPTED), lost, contacts)
        if 200 <= answer.status < 300:
            return Reading(Verdict(Outcome.UNCERTAIN, "unreadable", "Nobody can read this."))
        return Reading(Verdict(Outcome.TRANSIENT, str(answer.status), "The bird came back."))


def _flat(properties):
    for key, value in properties.items():
        if isinstance(value, dict):
            yield from ((f"{key}_{inner}", item) for inner, item in _flat(value))
        else:
            yield key, scalar([item for item in value if item is not None] if isinstance(value, list) else value)


@pytest.fixture
def owl():
    providers.register(OwlPost())
    yield providers.get_provider("owlpost")
    providers.unregister("owlpost")


@pytest.fixture
def integration(owl, merchant):
    return make.integration(merchant, provider="owlpost", settings={"size": "snowy"}, secrets={"whistle": "hoo-hoo"})


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check):
    account = Account({"size": "snowy"}, {"whistle": "hoo-hoo"}, "email")
    check(conformance.Subject(OwlPost(), account, frozenset({"api.owlpost.example"})))


@pytest.mark.django_db
def test_it_needs_no_migration(owl):
    call_command("makemigrations", "--check", "--dry-run", stdout=StringIO())


def test_it_is_offered_and_set_up_from_its_declarations(staff, owl, merchant):
    page = staff.get(reverse("admin:integrations_integration_changelist")).content.decode()
    assert "Feathers" in page and "Configure Owl Post" in page and "Letters at breakfast." in page
    staff.post(reverse("admin:integrations_integration_configure"), {"merchant": merchant.pk, "provider": "owlpost"})
    row = Integration.objects.get(provider="owlpost")
    page = staff.get(reverse("admin:integrations_integration_change", args=[row.pk])).content.decode()
    assert "In the owlery, on the hook." in page and "Snowy" in page and "We call a bird." in page


@responses.activate
def test_its_credentials_are_checked(integration):
    responses.get(f"{HOST}/whistle", json={"hoo": True})
    assert integration.initialize().ok
    integration.refresh_from_db()
    assert integration.status == Status.ACTIVE


@responses.activate
def test_its_events_are_delivered_and_answers_read(integration, merchant):
    make.definition(integration)
    rows = record_many([make.activity(merchant, person=f"c{number}") for number in range(4)])
    eaten = str(rows[2].pk)
    flew = responses.post(f"{HOST}/fly", json={"lost": [eaten]})
    drain(integration.pk)
    letters = [letter for call in flew.calls for letter in json.loads(call.request.body)["letters"]]
    assert {letter["id"] for letter in letters if "id" in letter} == {str(row.pk) for row in rows}
    assert all(call.request.headers["Whistle"] == "hoo-hoo" for call in flew.calls)
    assert dict(EventDelivery.objects.values_list("pk", "status")) == {
        row.pk: "failed" if str(row.pk) == eaten else "sent" for row in rows
    }
    assert Contact.objects.filter(integration=integration).exclude(pushed_hash="").count() == 4

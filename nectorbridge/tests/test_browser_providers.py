"""Each provider from the catalogue to its first real event, in real headless Chromium, against real processes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from integrations.secrets import MASK
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, MERCHANT, browsing, configure, grant, log_in, served
from nectorbridge.testing.installation import wait_for

pytestmark = MARKS

CANARY = "CANARY"  # in every secret, right or wrong, and nowhere else
CLEVERTAP, MOENGAGE, MAILMODO, CONTLO = (f"{CANARY}-{name}-7Q4Z" for name in ("CT", "ME", "MM", "CO"))
WIGZO_ORG, WIGZO_API = f"{CANARY}orgtoken7Q4Zabcd", f"{CANARY}apitoken7Q4Zefgh"
WORKSPACE = "VJ0GSMESHMQA3L7WV1EEK3UR"
ACCOUNTS = {"K97-K78-1234": CLEVERTAP, WORKSPACE: MOENGAGE, "mailmodo": MAILMODO, "contlo": CONTLO, WIGZO_ORG: WIGZO_API}
LIST = "Rewards Members"
NAME = "Wallet Coins Rewarded"
PEOPLE = """
for n, name in enumerate(("Asha Rao", "Vikram Shah", "Leila Haddad")):
    Customer.objects.create(merchant=m, customer_id=f"shopify-{n}", email=f"{name.split()[0].lower()}@example.com", name=name,
                            phone=f"+91987654321{n}")
print(1)
"""


@dataclass(frozen=True)
class Case:
    """What a person enters for one provider, by the labels on the page, and what they read."""

    slug: str
    label: str
    values: Mapping[str, str]
    wrong: tuple[str, str]  # a label, and the value that is refused there
    refused: str
    connected: str
    identity: str = "asha@example.com"
    usual_name: str = "walletreward_create"
    leaves_as: str = NAME
    snippet: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)  # in selects


CASES = (
    Case(
        "clevertap",
        "CleverTap",
        {
            "Account ID (CleverTap: Project ID)": " K97-K78-1234 ",
            "Private API Key (CleverTap: Passcode)": CLEVERTAP,
            "Server Prefix": "https://in1.dashboard.clevertap.com/K97-K78-1234/",
        },
        ("Private API Key (CleverTap: Passcode)", f"{CANARY}-THE-TOKEN"),
        "CleverTap refused the Account ID, the Passcode or the Server Prefix",
        "Connected to account K97-K78-1234",
        identity="shopify-0",
        snippet="{{ event.coins }}",
        chosen={"Common property": "customer_id"},
    ),
    Case(
        "moengage",
        "MoEngage",
        {
            "App ID / API ID (MoEngage: Workspace ID)": WORKSPACE,
            "Private API Key (MoEngage: Data key)": MOENGAGE,
            "Server Prefix (data centre)": "https://dashboard-03.moengage.com/v4/",
        },
        ("Private API Key (MoEngage: Data key)", f"{CANARY}-PUSH-KEY"),
        "MoEngage refused",
        r"Connected to workspace .* \(data centre 03\)",
        identity="shopify-0",
        usual_name="WalletRewardCreate",
        leaves_as="wallet_coins_rewarded",
        snippet="{{EventAttribute['coins']}}",
        chosen={"Common property": "customer_id", "Send in bulk when many events wait": "true"},
    ),
    Case(
        "wigzo",
        "Wigzo",
        {"Org token": WIGZO_ORG, "API token": WIGZO_API},
        ("API token", f"{CANARY}ofanotherstore"),
        "Wigzo refused",
        "Wigzo took a test profile with your own email address",
    ),
    Case(
        "mailmodo",
        "Mailmodo",
        {"API key": MAILMODO, "List Name": LIST},
        ("API key", f"{CANARY}-DELETED-KEY"),
        "Mailmodo refused the API key",
        f"Mailmodo accepted the key. The list “{LIST}” does not exist yet",
    ),
    Case(
        "contlo",
        "Contlo",
        {"Private API Key": CONTLO},
        ("Private API Key", f"{CANARY}-PUBLIC-KEY"),
        "Contlo refused the Private API Key",
        "Contlo accepted the key",
        leaves_as="Wallet_Coins_Rewarded",
        chosen={"Nector app installed in Contlo": "true"},
    ),
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox.running(accounts=ACCOUNTS) as running:
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory, sandbox):
    with served(tmp_path_factory.mktemp("providers"), sandbox, MERCHANT + PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def page(place):
    with browsing() as opened:
        log_in(opened, place[1])
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_from_the_catalogue_to_the_first_real_event(page, place, sandbox, case):
    outside, base = place
    page.seen.clear()
    connect(page, case)
    create_event(page, case)
    send_test(page, sandbox, case)
    build_journey(page, case)
    check_list(page, case)
    if case.slug == "mailmodo":
        customers_are_on_the_list(page, sandbox)
    earn_coins(page, base, outside, sandbox, case)
    assert page.problems == []
    assert len(page.seen) > 10 and not [source for source in page.seen if CANARY in source], "no secret in any page"


def connect(page, case):
    """Fill in the numbered steps with one mistake, read the reason, put it right."""
    configure(page, case.label)
    for number, title in enumerate(page.locator(".nb-steps .nb-step-title").all_inner_texts(), start=1):
        assert page.locator(f"#step-{number} h3").inner_text().startswith(title)
    for fold in page.get_by_text("Only some accounts need this", exact=True).all():
        fold.click()
    for label, value in case.chosen.items():
        box(page, label).select_option(value)
    for label, value in (case.values | dict([case.wrong])).items():
        box(page, label).fill(value)
    page.get_by_role("button", name="Initialize").click()
    page.get_by_role("alert").get_by_text(re.compile(case.refused)).first.wait_for()
    page.get_by_text("What to do:").first.wait_for()

    label, _wrong = case.wrong
    assert box(page, label).input_value() == "", "a saved secret is not shown again"
    box(page, label).fill(case.values[label])
    page.get_by_role("button", name="Initialize").click()
    page.get_by_role("status").get_by_text(re.compile(case.connected)).first.wait_for()
    page.get_by_text(re.compile("ends in")).first.wait_for()


def box(page, label):
    """Return the box with a label, whether or not that ends with (optional)."""
    return page.locator("input, select").and_(page.get_by_label(re.compile(f"^{re.escape(label)}", re.I)))


def create_event(page, case):
    """Follow the panel's next step, see the usual name and the request, save under a name of one's own."""
    page.get_by_role("link", name="Create an event").first.click()
    box(page, "Trigger").select_option("walletreward_create")
    page.locator("#nb-sketch").get_by_text(NAME).first.wait_for()
    page.locator("#nb-sketch").get_by_text("nector_click_url").first.wait_for()
    assert box(page, "Name").get_attribute("placeholder") == case.usual_name
    box(page, "Name").fill(NAME)
    page.locator("#nb-name-hint").get_by_text(f"Its name there will be: {case.leaves_as}", exact=True).wait_for()
    page.get_by_role("button", name="Create event", exact=True).click()
    page.get_by_text(f"Not seen by {case.label} yet.").wait_for()


def send_test(page, sandbox, case):
    """Search for somebody unknown, then for a customer; look at the request, send it, read the answer."""
    page.get_by_role("link", name="Send test event").first.click()
    page.get_by_label(re.compile("^Email, mobile number")).fill("nobody@example.com")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("Acme has no customer “nobody@example.com”.").wait_for()
    page.get_by_text("The customer must exist:").wait_for()

    page.get_by_label(re.compile("^Email, mobile number")).fill("asha@example.com")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="Choose").click()
    page.get_by_text("Nothing has been sent.").wait_for()
    assert case.leaves_as in page.locator("pre.nb-code").last.inner_text()
    assert events_at(sandbox, case) == [], "a dry run"
    assert MASK in page.locator("#content-main").inner_text(), "keys are masked"

    page.get_by_role("button", name="Send test event").click()
    page.get_by_text(f"{case.label} accepted the test event").wait_for()
    page.get_by_text(f"Seen by {case.label} at").first.wait_for()
    assert case.leaves_as in page.get_by_label("Request").last.inner_text()
    assert re.search(r"\b20[0-9]\b", page.get_by_label("Answer").last.inner_text())
    (arrived,) = events_at(sandbox, case)
    assert (arrived.name, arrived.identity) == (case.leaves_as, case.identity)


def build_journey(page, case):
    """Find the trigger's exact name, and the values in the provider's own syntax where it publishes one."""
    page.get_by_role("link", name=f"Build the journey in {case.label}").click()
    assert case.leaves_as in page.locator("code.nb-snippet").all_inner_texts()
    assert (case.snippet or "[coins]") in page.locator(".nb-values code").all_inner_texts()
    assert any(case.leaves_as in step for step in page.locator(".nb-numbered li").all_inner_texts())


def check_list(page, case):
    """Read what ticked itself, and tick one line by hand."""
    page.get_by_role("link", name=re.compile("launch checklist")).click()
    before = page.locator(".nb-check-done").count()
    assert before >= 3, "connected, created and accepted"
    page.get_by_role("button", name=re.compile("^Tick")).first.click()
    page.get_by_text("Ticked by meera").wait_for()
    assert page.locator(".nb-check-done").count() == before + 1


def customers_are_on_the_list(page, sandbox):
    """Follow the run that Initialize began to its end."""
    page.get_by_role("link", name="Customers sync").first.click()
    page.get_by_text("3 of 3 customers").first.wait_for()
    assert sorted(sandbox.members(LIST)) == ["asha@example.com", "leila@example.com", "vikram@example.com"]


def earn_coins(page, base, outside, sandbox, case):
    """Grant coins in the admin, and find the event at the provider, without the mark of a test."""
    page.goto(f"{base}/admin/loyalty/customer/")
    page.get_by_role("link", name="Asha Rao").first.click()
    grant(page, 120)
    wait_for(lambda: len(events_at(sandbox, case)) == 2, 20, f"the event at {case.label}")
    real = events_at(sandbox, case)[-1]
    assert (real.name, real.identity) == (case.leaves_as, case.identity)
    code = f"row = EventDelivery.objects.get(pk='{real.delivery}')\nprint(json.dumps([row.is_test, row.payload['coins']]))"
    assert outside.ask(code) == [False, 120]


def events_at(sandbox, case):
    """Return the events that the provider took, oldest first."""
    return [record for record in sandbox.arrived(case.slug) if record.kind == "event"]

"""A day of each role, in real headless Chromium against real processes: what they see, their real work, and what is refused."""

from __future__ import annotations

import email
import email.policy
import re

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, PASSWORD, browsing, configure, log_in, served
from nectorbridge.testing.installation import wait_for
from nectorbridge.tests.test_browser_csp import Walker

pytestmark = MARKS

PASSCODE, DATA_KEY, WORKSPACE = "CANARY-PASSCODE-42", "CANARY-DATA-KEY-42", "VJ0GSMESHMQA3L7WV1EEK3UR"
LOG_IN_FAILURES = 2
CHANGING = re.compile("/(add|retry|replay|cancel|delete|import|invite|configure|pause|start|erase|merge|grant)/")
WORLD = f"""
from django.contrib.auth import get_user_model
from events.identifiers import new_id
from events.payload import delivery_fields
from django.utils import timezone
acme, bazaar = (Merchant.objects.create(name=n, slug=n.lower(), website=f"https://{{n}}.example") for n in ("Acme", "Bazaar"))
for name, role in (("olga", "owner"), ("manu", "manager"), ("vera", "viewer")):
    user = get_user_model().objects.create_user(name, f"{{name}}@acme.example", "{PASSWORD}", is_staff=True)
    Membership.objects.create(merchant=acme, user=user, role=role)
asha = Customer.objects.create(merchant=acme, customer_id="6937201", email="asha@example.com", name="Asha Rao")
Customer.objects.create(merchant=bazaar, customer_id="1", email="noor@example.com", name="Noor Bazaari")
i = Integration.objects.create(merchant=acme, provider="clevertap", settings={{"account_id": "K97", "server_prefix": "in1"}},
    secrets={{"private_api_key": "{PASSCODE}"}})
assert i.initialize().ok
d = EventDefinition.objects.create(integration=i, trigger="coupon_create", name="Coupon Is Created")
key = new_id()
EventDelivery.objects.create(
    id=key, definition=d, integration=i, merchant=acme, trigger=d.trigger, event_name=d.name, customer_ref=asha.ref,
    recipient=asha.recipient, payload=delivery_fields({{"coupon_code": "TEN"}}, key), idempotency_key=f"{{d.pk}}:{{key}}",
    status="failed", reason="exhausted", occurred_at=timezone.now(), attempt_count=18, next_attempt_at=None,
)
bare = Integration.objects.create(merchant=acme, provider="wigzo")
print(json.dumps([i.pk, d.pk, str(key), bare.pk]))
"""
OF_A_VIEWER = [
    *("Home", "Integrations", "Events", "Deliveries"),
    *("Customers", "Wallets", "Coupons", "Orders", "Reviews", "Referrals", "Tiers", "Nector webhooks", "Merchants"),
]
OF_A_MANAGER = OF_A_VIEWER
OF_AN_OWNER = [*OF_A_MANAGER, "Staff", "Audit trail"]
OF_AN_ADMINISTRATOR = [*OF_AN_OWNER, "Users", "Queue health", "Encryption keys", "Background jobs"]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox.running(accounts={"K97": PASSCODE, WORKSPACE: DATA_KEY}) as running:
        yield running


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    return tmp_path_factory.mktemp("letters")


@pytest.fixture(scope="module")
def place(tmp_path_factory, sandbox, letters):
    given = {"EMAIL_URL": f"filemail://{letters}", "LOGIN_FAILURES": str(LOG_IN_FAILURES)}
    with served(tmp_path_factory.mktemp("roles"), sandbox, "print(1)", **given) as (outside, base):
        yield outside, base, outside.ask(WORLD)


@pytest.fixture(scope="module")
def browser(place):
    with browsing() as page:
        yield Walker(page, place[1])


@pytest.fixture
def page(browser):
    """A browser that nobody has logged in with; nothing on its way may have failed, nor shown a secret."""
    browser.page.context.clear_cookies()
    yield browser.page
    assert browser.complaints + browser.page.problems == []
    assert not [source for source in browser.page.seen if "CANARY" in source]


def side_bar(page) -> list[str]:
    """Return what the side bar offers, also where it is folded."""
    return page.locator("#nav-sidebar-apps li a > span:last-child").all_text_contents()


def administration(page, words: str) -> None:
    """Unfold the last part of the side bar, and follow one of its links."""
    if not page.get_by_role("link", name=words).first.is_visible():
        page.get_by_role("heading", name="Administration").click()
    page.get_by_role("link", name=words).first.click()


def verbs(page) -> list[str]:
    """Return what would change something, of all that a page offers: buttons that send a form, and links to such pages."""
    sent = page.locator("#main form[method=post] button").all_text_contents()
    leading = page.locator("#main a").evaluate_all("links => links.map(link => link.getAttribute('href') || '')")
    return [text for text in sent if text.strip()] + [href for href in leading if CHANGING.search(href)]


def refused(page, address: str) -> None:
    """Open an address at which this role has nothing to do: a page in plain words says so."""
    assert page.goto(address).status == 403
    page.get_by_role("heading", name="You may not do this").wait_for()


def test_an_owner_connects_a_provider_invites_somebody_and_finds_both_in_the_audit_trail(page, place, letters):
    _outside, base, _made = place
    log_in(page, base, "olga")
    assert side_bar(page) == OF_AN_OWNER

    configure(page, "MoEngage")
    page.locator("input[name=workspace_id]").fill(WORKSPACE)
    page.locator("input[name=data_api_key]").fill(DATA_KEY)
    page.locator("input[name=server_prefix]").fill("03")
    page.get_by_role("button", name="Initialize").click()
    page.get_by_role("status").get_by_text("Connected to workspace").first.wait_for()

    administration(page, "Staff")
    page.get_by_role("link", name="Invite").first.click()
    page.get_by_label("Email").fill("nila@acme.example")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("An invitation is on its way to nila@acme.example.").wait_for()

    administration(page, "Audit trail")
    trail = page.locator("#result_list").text_content()
    for words in ("Initialize", "Staff invited", "nila@acme.example", "olga", "Logged in"):
        assert words in trail
    assert "Bazaar" not in trail
    refused(page, f"{base}/admin/queue-health/")

    page.context.clear_cookies()
    page.goto(link_in(letters).replace("http://127.0.0.1:8000", base))
    page.get_by_label("Your name").fill("Nila")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=again]").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    page.get_by_text("Welcome to Acme.").wait_for()
    assert side_bar(page) == OF_A_VIEWER


def link_in(letters) -> str:
    """Return the address in the only mail that left."""
    (file,) = letters.iterdir()
    text = email.message_from_string(file.read_text(), policy=email.policy.default).get_content()
    return re.search(r"http://\S+/join/\S+", text)[0]


def test_a_manager_creates_an_event_tests_it_and_retries_what_failed(page, place, sandbox):
    _outside, base, (integration, _definition, failed, _bare) = place
    log_in(page, base, "manu")
    assert side_bar(page) == OF_A_MANAGER

    page.get_by_role("link", name="Events").first.click()
    page.locator("#main a[href$='/eventdefinition/add/']").first.click()
    page.select_option("select[name=integration]", str(integration))
    page.select_option("select[name=trigger]", "walletreward_create")
    page.fill("input[name=name]", "Wallet Coins Rewarded")
    page.get_by_role("button", name="Create event").click()
    page.get_by_role("link", name="Send test event").first.click()
    page.get_by_label(re.compile("^Email, mobile number")).fill("asha@example.com")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="Choose").click()
    page.get_by_role("button", name="Send test event").click()
    page.get_by_text("CleverTap accepted the test event").wait_for()
    assert "Wallet Coins Rewarded" in [one.name for one in sandbox.arrived("clevertap") if one.kind == "event"]

    page.get_by_role("link", name="Deliveries").first.click()
    page.locator(f"#result_list a[href*='{failed}']").first.click()
    page.get_by_role("link", name="Retry").first.click()
    page.get_by_text("Send this delivery again?").wait_for()
    with page.expect_navigation():
        page.locator("#dialog").get_by_role("button", name="Retry").click()
    wait_for(lambda: failed in sandbox.deliveries("clevertap"), 20, "the retried delivery at the provider")
    assert sandbox.deliveries("clevertap")[failed] == 1
    for address in ("integrations/membership/", "integrations/auditentry/", "queue-health/"):
        refused(page, f"{base}/admin/{address}")


def test_a_viewer_sees_history_and_statistics_and_nothing_to_press(page, place):
    outside, base, (integration, definition, delivery, bare) = place
    log_in(page, base, "vera")
    assert side_bar(page) == OF_A_VIEWER

    page.get_by_role("link", name="Deliveries").first.click()
    page.locator(f"#result_list a[href*='{delivery}']").first.click()
    page.get_by_text("Coupon Is Created").first.wait_for()
    looked_at = [page.url]
    page.goto(f"{base}/admin/events/eventdefinition/statistics/{integration}/")
    page.get_by_text("Coupon Is Created").first.wait_for()
    looked_at += [f"{base}/admin/{path}" for path in ("", "events/eventdelivery/", "integrations/integration/")]
    looked_at += [f"{base}/admin/integrations/integration/{pk}/change/" for pk in (integration, bare)]
    events = f"{base}/admin/events/eventdefinition"
    looked_at += [f"{events}/{path}/{pk}/" for path in ("statistics", "launch") for pk in (integration, bare)]
    looked_at += [f"{events}/", f"{events}/{definition}/statistics/"]
    for address in looked_at:
        assert page.goto(address).status == 200
        assert verbs(page) == [], address

    refused(page, f"{events}/add/")
    refused(page, f"{base}/admin/events/eventdelivery/{delivery}/replay/")
    refused(page, f"{base}/admin/integrations/membership/")
    assert outside.ask("print(json.dumps(EventDelivery.objects.filter(replay_of__isnull=False).count()))") == 0


def test_an_administrator_sees_every_merchant_and_the_queues_and_lets_in_who_was_locked_out(page, place):
    outside, base, _made = place
    page.goto(base)
    for _turn in range(LOG_IN_FAILURES):
        page.fill("input[name=username]", "vera")
        page.fill("input[name=password]", "wrong")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
    page.get_by_text("Too many attempts").first.wait_for()

    log_in(page, base, "admin")
    assert side_bar(page) == OF_AN_ADMINISTRATOR
    page.get_by_role("link", name="Customers").first.click()
    assert {"Asha Rao", "Noor Bazaari"} <= set(page.locator("#result_list a").all_inner_texts())
    page.get_by_label("Merchant", exact=True).select_option(label="Bazaar")
    page.get_by_role("button", name="Switch").click()
    page.get_by_role("link", name="Noor Bazaari").wait_for()
    assert not page.get_by_role("link", name="Asha Rao").is_visible()
    page.get_by_label("Merchant", exact=True).select_option(label="All merchants")
    page.get_by_role("button", name="Switch").click()
    page.get_by_role("link", name="Asha Rao").wait_for()

    administration(page, "Queue health")
    page.get_by_role("row", name=re.compile("CleverTap Acme")).wait_for()
    administration(page, "Audit trail")
    page.get_by_text("Log-in failed").first.wait_for()

    outside.run("axes_reset_username", "vera")
    page.context.clear_cookies()
    log_in(page, base, "vera")
    assert side_bar(page) == OF_A_VIEWER

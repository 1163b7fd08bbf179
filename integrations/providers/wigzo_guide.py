"""What staff read while they connect Wigzo: the steps, words and checks of its own guide, and what nobody can promise."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from integrations.providers.base import Field, Guide, Journey, LaunchItem, Step

CATEGORY = _("Email & WhatsApp Marketing")
HOST = "https://tracker.wigzopush.com"
OTHER_HOST = "https://app.wigzo.com"

CONNECTED = _("Wigzo took a test profile with your own email address.")
CANNOT_CONFIRM = _(
    "Wigzo cannot confirm the API token: it may answer “success” to a wrong one too. Send a test event and look for it in Wigzo."
)
LABELS = {"org_token": _("Org token"), "api_token": _("API token")}
FIX_ORG = _(
    "In Wigzo open Settings > Integration: the Org token is in the site snippet, between the quotes of "
    "wigzo('configure', '...'). Copy it whole; capital and small letters matter."
)
FIX_API = _(
    "Ask Wigzo's integration manager or support for the API token, and copy it whole. It is another value than the Org token."
)
FIXES = {"org_token": FIX_ORG, "api_token": FIX_API}
FIX_SAME = _("They are two different values. The Org token is in Settings > Integration; ask Wigzo's support for the API token.")
FIX_TOKENS = _(
    "Compare the Org token with the site snippet in Wigzo (Settings > Integration), ask Wigzo's integration manager or support "
    "whether the API token is right, enter both again, save, and initialize."
)
FIX_HOST = _("Take the API address out, unless Wigzo's people told you one, and initialize again.")
FIX_NETWORK = _("Nothing was learned about the tokens. Check this server's connection to the internet and initialize again.")
FIX_LATER = _("Nothing was learned about the tokens. Initialize again in a few minutes.")
FIX_MOVED = _(
    "Nothing was learned about the tokens. Try the other API address (https://app.wigzo.com), or initialize again later; if it "
    "stays so, ask Wigzo's support whether its addresses moved."
)

IDENTITIES = (("email", _("Email")),)

FIELDS = (
    Field(
        name="org_token",
        label=LABELS["org_token"],
        where=_("Wigzo > Settings > Integration: in the site snippet, wigzo('configure', '<Org token>')."),
        looks_like="AbCdEfGhIjKlMnOpQrStUv",
        wrong=_("With another store's token, customers and events land in that store's Wigzo account, or nowhere."),
        secret=True,
        names_account=True,
    ),
    Field(
        name="api_token",
        label=LABELS["api_token"],
        where=_("Wigzo does not say where it is shown: ask its integration manager or support for it."),
        looks_like="0123456789abcdef0123456789",
        wrong=_("Wigzo may refuse every event, or answer “success” and keep none of them."),
        secret=True,
    ),
    Field(
        name="host",
        label=_("API address"),
        where=_("Leave it empty for https://tracker.wigzopush.com. Wigzo's people may tell you https://app.wigzo.com instead."),
        looks_like=HOST,
        wrong=_("With another address no event arrives."),
        required=False,
        choices=((HOST, _("tracker.wigzopush.com (usual)")), (OTHER_HOST, _("app.wigzo.com"))),
        names_account=True,
    ),
)

CAVEATS = (
    CANNOT_CONFIRM,
    _("“Sent” means that Wigzo answered with success. Only Wigzo itself shows whether the event arrived."),
    _("Wigzo's events carry no time of their own: one that is sent late counts from its arrival. Its real time is a property."),
    _("Wigzo does not recognise a repeated event. After a lost answer the same event may arrive twice."),
    _("Opens and clicks inside Wigzo are not reported to us; clicks on the tracked link are."),
)

STEPS = (
    Step(
        title=_("Org token and API token"),
        body=_(
            "The Org token is in Wigzo under Settings > Integration, in the site snippet. For the API token ask Wigzo's "
            "integration manager or support. They are two different values."
        ),
        fields=("org_token", "api_token", "host"),
    ),
    Step(
        title=_("Common property"),
        body=_(
            "Email: the customer property that is used when an event is sent. Customers without an email address get no events. "
            "Each customer is made known to Wigzo once, before their first event."
        ),
        fields=("common_property",),
    ),
    Step(
        title=_("Initialize"),
        body=_(
            "We send Wigzo a test profile with your own email address; doing it again changes nothing. After that the connection "
            "stands, and it remains to choose what to send."
        ),
    ),
    Step(
        title=_("Create an event"),
        body=_(
            "Choose what should be sent; “Wallet Coins Rewarded” and “Coupon Is Created” are the usual two. Referrals, "
            "coin expiry and review requests can be sent as well."
        ),
        leads_to="new_event",
    ),
    Step(
        title=_("Send test event"),
        body=_(
            "It makes the event known in Wigzo, so that it can be a trigger there. The email you use must already be a customer "
            "of the store."
        ),
        leads_to="test",
    ),
    Step(
        title=_("In Wigzo: build the flow"),
        body=_("Create a flow with the event as its trigger, add email or SMS, and publish."),
        leads_to="journey",
    ),
)

JOURNEY = Journey(
    steps=(
        _("In Wigzo, create a flow."),
        _("Choose the event “%(event)s” as its trigger. It is listed once a test event has arrived."),
        _("Add email or SMS, and write the message from the event's values."),
        _("Leave out people who have unsubscribed or given no consent, and publish."),
    ),
    snippet="",
    syntax_note=_(
        "Wigzo publishes no syntax for an event's values, so there is nothing here to copy that you could rely on. Look in "
        "Wigzo's editor, or ask its support, how a message shows them; they arrive under the property names listed here, "
        "and are in [brackets] in the sample message."
    ),
)

LAUNCH = (
    LaunchItem("initialized", _("The integration initializes without an error."), "initialized"),
    LaunchItem("tokens", _("Both tokens were copied whole, and belong to this store.")),
    LaunchItem("event_created", _("The event is created, and fits the automation."), "event_created"),
    LaunchItem("test_accepted", _("Wigzo accepted a test event for an email that is a customer of the store."), "test_accepted"),
    LaunchItem("appeared", _("The event appeared in Wigzo after the test: that alone proves the API token.")),
    LaunchItem("selectable", _("The event can be chosen as a trigger in Wigzo, and the flow is published.")),
    LaunchItem("profile_matched", _("The customer's profile was made known to Wigzo."), "profile_matched"),
    LaunchItem("right_profile", _("In Wigzo the event is on the right customer.")),
    LaunchItem("message", _("The message arrives by the intended channel, with the right content.")),
    LaunchItem("details", _("Coins, coupon, referral and review details in the message are right.")),
    LaunchItem("link_clicked", _("A click on the tracked link was counted."), "link_clicked"),
    LaunchItem("no_duplicates", _("No delivery was sent twice."), "no_duplicates"),
    LaunchItem("consent", _("Unsubscribes, consent and communication rules are respected.")),
    LaunchItem("frequency", _("The number of messages feels right to customers.")),
)

GUIDE = Guide(
    purpose=_("Start Wigzo flows, by email or SMS, the moment a customer earns coins or gets a coupon."),
    before=(
        _("An active Wigzo account, and access to its Settings."),
        _("Access to Integrations here."),
        _("The Org token, and the API token from Wigzo's integration manager or support."),
        _("Customers with an email address."),
        _("The email of a test customer who already is a customer of the store."),
        _("A list of the events you want to send, and a plan for each flow."),
    ),
    steps=STEPS,
    check=(
        _("Both tokens were copied whole."),
        _("The common property is Email."),
        _("The event fits the automation."),
        _("The test email exists as a customer of the store."),
        _("The event appeared in Wigzo after the test."),
        _("The message's content is right."),
        _("Unsubscribes, consent and communication rules are respected."),
    ),
    journey=JOURNEY,
    launch=LAUNCH,
    caveats=CAVEATS,
)

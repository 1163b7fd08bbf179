"""What staff read while they connect MoEngage: the steps, words and checks of its own guide."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from integrations.providers.base import Field, Guide, Journey, LaunchItem, Step

CATEGORY = _("Email Marketing")
FIX_CREDENTIALS = _(
    "In MoEngage open Settings > Account > APIs. Copy the Workspace ID and the Data key (not Push or any other), and check "
    "that the data centre in Server Prefix is the number in your dashboard's address. A key that was made anew replaces the "
    "old one at once."
)
FIX_PREFIX = _("Copy the number from your dashboard's address: dashboard-03.moengage.com is 03.")
FIX_IP = _(
    "Have the address that this server calls from added in MoEngage under Settings > Account > Security > IP allow-list, and "
    "enter the same address here as Our IP address."
)
FIX_SUSPENDED = _("Ask MoEngage's support about the account; then initialize again. Waiting events are kept.")
FIX_TEMPORARY = _("Initialize again once MoEngage has opened the account again. Waiting events are kept.")
FIX_NETWORK = _("Nothing was learned about the keys. Check this server's connection to the internet and initialize again.")
FIX_LATER = _("MoEngage is busy or down. Nothing was learned about the keys; initialize again in a few minutes.")
SAME_VALUE = _(
    "This is the same value as the Workspace ID. The Data key is in MoEngage under Settings > Account > APIs > API keys, in "
    "the tile Data."
)
LOOKS_LIKE_ID = _(
    "What is saved here looks like a Workspace ID. If MoEngage refuses it, copy the key of the tile Data (not Push or any other)."
)

# developers.moengage.com: GDPR / CCPA API
FORGETTING = _(
    "Send an erasure request to MoEngage's GDPR / CCPA API (Settings > Account > APIs has the keys), by ID, email or mobile "
    "number. With an email, everybody who has it there is erased."
)

IDENTITIES = (
    ("customer_id", _("Customer ID")),
    ("email", _("Email")),
    ("phone", _("Mobile number")),
)
YES_NO = (("true", _("Yes")), ("false", _("No")))

FIELDS = (
    Field(
        name="workspace_id",
        label=_("App ID / API ID (MoEngage: Workspace ID)"),
        where=_("MoEngage > Settings > Account > APIs: the Workspace ID, earlier called App ID, at the top of the page."),
        looks_like="VJ0GSMESHMQA3L7WV1EEK3UR",
        wrong=_("With another workspace's ID, or a part of it, MoEngage refuses every event (401)."),
        names_account=True,
    ),
    Field(
        name="data_api_key",
        label=_("Private API Key (MoEngage: Data key)"),
        where=_("The same page, API keys, the tile Data. Not Push, Inform or any other."),
        wrong=_("The wrong key is the commonest mistake: keys of other tiles do not work here (401 or 403)."),
        secret=True,
    ),
    Field(
        name="server_prefix",
        label=_("Server Prefix (data centre)"),
        where=_("The number in your MoEngage dashboard's address: dashboard-03.moengage.com is 03. You may paste the address."),
        looks_like="03",
        wrong=_("Another data centre does not know your workspace and refuses it."),
        choices=(
            ("01", _("01: United States")),
            ("02", _("02: Europe")),
            ("03", _("03: India")),
            ("04", _("04: United States (second)")),
            ("05", _("05: Singapore")),
            ("06", _("06: Indonesia")),
            ("101", "101"),
        ),
        names_account=True,
    ),
    Field(
        name="project_code",
        label=_("Project code"),
        where=_("Portfolio workspaces only: the project that the events belong to."),
        looks_like="prj1",
        wrong=_("Without it, a portfolio's events belong to no project."),
        required=False,
        names_account=True,
    ),
    Field(
        name="allow_bulk",
        label=_("Send in bulk when many events wait"),
        where=_("Yes, unless you want MoEngage's own answer to every event. Empty means yes."),
        wrong=_("In bulk, what MoEngage does not take shows only in its dashboard. Without it, large campaigns are sent slower."),
        required=False,
        choices=YES_NO,
    ),
    Field(
        name="real_time_action",
        label=_("Mark events as real-time"),
        where=_("No, unless MoEngage's support asks for it. Empty means no."),
        wrong=_("Some older workspaces start event-triggered campaigns only with this mark."),
        required=False,
        choices=YES_NO,
    ),
    Field(
        name="egress_ip",
        label=_("Our IP address"),
        where=_("Only if your workspace lets in listed IP addresses alone: the address that this server calls from."),
        looks_like="203.0.113.7",
        wrong=_("MoEngage answers “IP Validation Required” (403)."),
        required=False,
    ),
)

JOURNEY = Journey(
    steps=(
        _("In MoEngage, create a new flow on a blank canvas and give it a name."),
        _("Tag it, for example “incentive”, so that it is found again."),
        _("Choose the event “%(event)s” as the flow's trigger. It is in the list once MoEngage has seen it."),
        _("Add email, WhatsApp or other steps. Copy values from the table below into your message."),
        _("Say what happens when a customer triggers it again, and who gets no message."),
        _("Send yourself a test message, then publish the flow."),
    ),
    snippet="{{EventAttribute['%(name)s']}}",
    syntax_note=_(
        "Set a default for each value in MoEngage's editor: a message in which a value is missing is not sent. "
        "Some names differ from ours because MoEngage uses those itself; the table has the names as they are sent."
    ),
)

LAUNCH = (
    LaunchItem("initialized", _("MoEngage is connected: Initialize succeeded."), "initialized"),
    LaunchItem("event_created", _("At least one event is created and switched on."), "event_created"),
    LaunchItem("fires", _("The event fires when the action really happens: earn or grant once, and look under Deliveries.")),
    LaunchItem("test_accepted", _("A test event was sent, and MoEngage accepted it."), "test_accepted"),
    LaunchItem("appears", _("The event appears in MoEngage.")),
    LaunchItem("selectable", _("The event can be chosen as the trigger of a flow.")),
    LaunchItem("profile_matched", _("The event is on the right profile, and made no second user."), "profile_matched"),
    LaunchItem("channel", _("The test customer got the message through the intended channel.")),
    LaunchItem("content", _("The content is right: names, amounts, coupon, dates.")),
    LaunchItem("link_clicked", _("A click on the tracked link came back here."), "link_clicked"),
    LaunchItem("no_duplicates", _("Duplicates are handled."), "no_duplicates"),
    LaunchItem("repeats", _("The flow says what happens when a customer triggers it again.")),
)

CAVEATS = (
    _("Values of the event work only in event-triggered campaigns and flows, and not in Connector campaigns."),
    _("MoEngage answers “received” for the call as a whole; what it did with the event shows in its own dashboard."),
)

GUIDE = Guide(
    purpose=_("Start MoEngage flows, by email, WhatsApp or push, the moment a customer earns coins or gets a coupon."),
    before=(
        _("Active accounts here and at MoEngage, and access to MoEngage's Settings > APIs."),
        _("The common property: the identifier that MoEngage and your store already share."),
        _("The Workspace ID, the Data API key and the number in your dashboard's address."),
        _("A list of the events you want to send."),
        _("The profile of a test customer."),
        _("A plan for each flow."),
    ),
    steps=(
        Step(
            title=_("Common Property"),
            body=_(
                "Choose the identifier that already joins MoEngage with your store or website, usually the customer ID. With a "
                "different one MoEngage attaches events to the wrong profile, or makes a new user that nobody can reach."
            ),
            fields=("common_property",),
        ),
        Step(
            title=_("App ID / API ID"),
            body=_("In MoEngage, open Settings > APIs and copy the Workspace ID. It is the same for every key."),
            fields=("workspace_id",),
        ),
        Step(
            title=_("Private API Key"),
            body=_("On the same page, copy the Data key. Not Push, not any other."),
            fields=("data_api_key",),
        ),
        Step(
            title=_("Server Prefix"),
            body=_("The number in the dashboard's address: “dashboard-01” is 01."),
            fields=("server_prefix", "project_code", "allow_bulk", "real_time_action", "egress_ip"),
        ),
        Step(
            title=_("Initialize"),
            body=_(
                "We ask MoEngage whether the values fit together. A notice says when the connection is "
                "in place; nothing is written there."
            ),
        ),
        Step(
            title=_("Create an event"),
            body=_("Choose what should be sent, for example “Wallet Points Rewarded”. From then on each such activity is sent."),
            leads_to="new_event",
        ),
        Step(
            title=_("In MoEngage: build the flow"),
            body=_(
                "Create a flow on a blank canvas, name it, give it a tag, choose the event as its trigger "
                "(“WalletRewardCreate”, or the name you gave it here), add email, WhatsApp or other steps, and publish."
            ),
            leads_to="journey",
        ),
    ),
    check=(
        _("The common property is the right one, and the Workspace ID was copied whole."),
        _("The key is the Data key, and the prefix fits the dashboard's address."),
        _("The event's name is easy to recognise, and the flow's trigger fits the event."),
        _("The message fits the action, and repeats are handled."),
    ),
    journey=JOURNEY,
    launch=LAUNCH,
    caveats=CAVEATS,
)

"""What staff read while they connect CleverTap: the steps, words and checks of its own guide."""

from __future__ import annotations

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from integrations.providers.base import Field, Guide, Journey, LaunchItem, Step

CATEGORY = _("Email & WhatsApp Marketing")
FIX_CREDENTIALS = _(
    "In CleverTap open Settings > Project. Copy the Project ID into Account ID and the Passcode into Private API Key "
    "(not the Token beside it), and check that the Server Prefix is the first part of your dashboard's address."
)
FIX_NETWORK = _("Nothing was learned about the keys. Check this server's connection to the internet and initialize again.")
FIX_LATER = _("CleverTap is busy or down. Nothing was learned about the keys; initialize again in a few minutes.")
SAME_VALUE = _(
    "This is the same value as in Account ID. The Passcode is in CleverTap under Settings > Passcodes; the Project ID above "
    "belongs in Account ID."
)
LOOKS_LIKE_ID = _("What is saved here looks like a Project ID, not like a Passcode. If CleverTap refuses it, exchange the two.")
LOOKS_EXCHANGED = _(
    "A Project ID usually looks like K97-K78-1234, and this one does not. If CleverTap refuses it, check whether Account ID and "
    "Private API Key were exchanged."
)

# developer.clevertap.com/docs/delete-user-profile-api
FORGETTING = _("Call CleverTap's Delete User Profile API with the identity under which the customer was sent.")

IDENTITIES = (
    ("customer_id", _("Customer ID")),
    ("email", _("Email")),
    ("phone", _("Mobile number")),
)

FIELDS = (
    Field(
        name="account_id",
        label=_("Account ID (CleverTap: Project ID)"),
        where=_("CleverTap > Settings > Project: the Project ID at the top of the page."),
        looks_like="K97-K78-1234",
        wrong=_("With another project's ID CleverTap refuses every event (401)."),
        names_account=True,
    ),
    Field(
        name="private_api_key",
        label=_("Private API Key (CleverTap: Passcode)"),
        where=_("CleverTap > Settings > Project, or Settings > Passcodes: the Passcode, not the Token."),
        looks_like="AAA-AAA-AAAA",
        wrong=_("The Token beside it is for apps; with it CleverTap refuses every event (401)."),
        secret=True,
    ),
    Field(
        name="server_prefix",
        label=_("Server Prefix"),
        where=_("The first part of your CleverTap dashboard's address: in1.dashboard.clevertap.com is in1."),
        looks_like="in1",
        wrong=_("With another region CleverTap does not know the account and answers 401."),
        choices=(
            ("in1", _("in1: India")),
            ("sg1", _("sg1: Singapore")),
            ("us1", _("us1: United States")),
            ("aps3", _("aps3: Indonesia")),
            ("mec1", _("mec1: Middle East")),
            ("eu1", _("eu1: Europe (default)")),
        ),
        names_account=True,
    ),
)

JOURNEY = Journey(
    steps=(
        _("In CleverTap, open Journeys and create a new journey, or open the one that should start from this event."),
        _("Choose the event “%(event)s” as the journey's trigger. It is in the list once CleverTap has seen it."),
        _("Add the steps that follow: email, WhatsApp, SMS, push. Copy values from the table below into your message."),
        _("Choose who gets no message (people without consent, staff), and how often one customer may enter."),
        _("Send yourself a preview, then publish the journey."),
    ),
    # The documented Liquid form: `event` holds the properties of the event that started the journey.
    snippet="{{ event.%(name)s }}",
    syntax_note=_("Times arrive as CleverTap dates, so CleverTap's editor can show them the way your customers write dates."),
)

LAUNCH = (
    LaunchItem("initialized", _("CleverTap is connected: Initialize succeeded."), "initialized"),
    LaunchItem("event_created", _("At least one event is created and switched on."), "event_created"),
    LaunchItem("test_accepted", _("A test event was sent, and CleverTap accepted it."), "test_accepted"),
    LaunchItem("appears", _("The event appears in CleverTap under Events, with its properties.")),
    LaunchItem("profile_matched", _("The event is on the right profile, and made no second one."), "profile_matched"),
    LaunchItem("selectable", _("The event can be chosen as the trigger of a journey.")),
    LaunchItem("content", _("The message fits the action, and the right values stand in it.")),
    LaunchItem("received", _("The test customer got the message through the intended channel.")),
    LaunchItem("link_clicked", _("A click on the tracked link came back here."), "link_clicked"),
    LaunchItem("statistics", _("The numbers here agree with what CleverTap shows.")),
    LaunchItem("no_duplicates", _("Duplicates are handled."), "no_duplicates"),
    LaunchItem("repeats", _("The journey says how often one customer may enter it.")),
)

# docs/upload-events-api: an event with an older `ts` is kept in the history, but starts no live campaign or journey.
LIVE_WINDOW_HOURS = 2

CAVEATS = (
    _("CleverTap can accept an event and still leave it out, where your project's schema does not have it: look under Events."),
    format_lazy(_("CleverTap starts journeys only from events that are less than {hours} hours old."), hours=LIVE_WINDOW_HOURS),
)

GUIDE = Guide(
    purpose=_("Start CleverTap journeys, by email, WhatsApp, SMS or push, the moment a customer earns coins or gets a coupon."),
    before=(
        _("An active CleverTap account, and access to its Settings."),
        _("Access to Integrations here."),
        _("The common property: the identifier that CleverTap and your store already share."),
        _("The Project ID, a Passcode and the server prefix of your CleverTap account."),
        _("A list of the events you want to send, and the journey each of them should start."),
    ),
    steps=(
        Step(
            title=_("Common property"),
            body=_(
                "Choose the identifier that CleverTap and your store already share, usually the customer ID. With a "
                "different one CleverTap attaches events to the wrong profile, or makes a new one that nobody can reach."
            ),
            fields=("common_property",),
        ),
        Step(
            title=_("Account ID, Private API Key and Server Prefix"),
            body=_(
                "In CleverTap, open Settings: the Project ID belongs in Account ID, the Passcode in Private API Key. The "
                "prefix is your account's region; in India it is usually IN1."
            ),
            fields=("account_id", "private_api_key", "server_prefix"),
        ),
        Step(
            title=_("Initialize"),
            body=_(
                "We ask CleverTap whether the three values fit together; usually this is done within seconds, and at most within "
                "about five minutes. Nothing is written to your account."
            ),
        ),
        Step(
            title=_("Create an event"),
            body=_(
                "Choose what should be sent, for example “Coupon Is Created”, and the portal, channel or platform where it "
                "should fire; then click Create."
            ),
            leads_to="new_event",
        ),
        Step(
            title=_("Watch it"),
            body=_("Deliveries shows what was sent, opened and clicked, over the period you choose."),
            leads_to="deliveries",
        ),
        Step(
            title=_("In CleverTap: build the journey"),
            body=_(
                "Open a new or an existing journey, choose the event (for example “Wallet Coins Rewarded”) as its trigger, add "
                "email, WhatsApp or other steps, and publish."
            ),
            leads_to="journey",
        ),
    ),
    check=(
        _("The common property fits both CleverTap and the store."),
        _("The Project ID is in Account ID and the Passcode in Private API Key."),
        _("The prefix fits the region."),
        _("The event fits the journey, the message fits the action, and repeats are handled."),
    ),
    journey=JOURNEY,
    launch=LAUNCH,
    caveats=CAVEATS,
)

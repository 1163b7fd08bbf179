"""What staff read while they connect CleverTap: the steps, words and checks of its own guide."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from integrations.providers.base import Field, Guide, Step

CATEGORY = _("Email & WhatsApp Marketing")
FIX_CREDENTIALS = _(
    "In CleverTap open Settings > Project. Copy the Project ID into Account ID and the Passcode into Private API Key "
    "(not the Token beside it), and check that the Server Prefix is the first part of your dashboard's address."
)
FIX_NETWORK = _("Nothing was learned about the keys. Check this server's connection to the internet and initialize again.")
FIX_LATER = _("CleverTap is busy or down. Nothing was learned about the keys; initialize again in a few minutes.")
SAME_VALUE = _(
    "This is the same value as in Account ID. The Passcode stands in CleverTap under Settings > Passcodes; the Project ID above "
    "belongs into Account ID."
)
LOOKS_LIKE_ID = _("What is saved here looks like a Project ID, not like a Passcode. If CleverTap refuses it, exchange the two.")
LOOKS_EXCHANGED = _(
    "A Project ID usually looks like K97-K78-1234, and this one does not. If CleverTap refuses it, check whether Account ID and "
    "Private API Key were exchanged."
)

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
    ),
)

GUIDE = Guide(
    purpose=_("Start CleverTap journeys the moment a customer earns coins or gets a coupon."),
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
            body=_("In CleverTap, open Settings. The prefix is your account's region; in India it is usually IN1."),
            fields=("account_id", "private_api_key", "server_prefix"),
        ),
        Step(
            title=_("Initialize"),
            body=_("We ask CleverTap whether the three values fit together. Nothing is written to your account."),
        ),
        Step(
            title=_("Create an event"),
            body=_("Choose what should be sent, for example “Wallet Coins Rewarded”, and where it should fire."),
        ),
        Step(
            title=_("In CleverTap: build the journey"),
            body=_("Create a journey, choose the event as its trigger, add email, WhatsApp or other steps, and publish."),
        ),
    ),
    check=(
        _("The common property fits both CleverTap and the store."),
        _("The Project ID is in Account ID and the Passcode in Private API Key."),
        _("The prefix fits the region."),
        _("The event fits the journey, the message fits the action, and repeats are handled."),
    ),
)

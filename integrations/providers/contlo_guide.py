"""What staff read while they connect Contlo: the steps, words and checks of its own guide."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from integrations.providers.base import Field, Guide, Journey, LaunchItem, Step

CATEGORY = _("Email & WhatsApp Marketing")
FIX_KEY = _(
    "In Contlo click the store's name (top right) and open Settings > Marketing Settings > API Keys. Under Private API Keys "
    "create a key and copy it whole; the public key beside it is for browsers and does not work here."
)
FIX_HOST = _("Take the API address out, unless Contlo's people told you one, and initialize again.")
FIX_NETWORK = _("Nothing was learned about the key. Check this server's connection to the internet and initialize again.")
FIX_LATER = _("Nothing was learned about the key. Initialize again in a few minutes.")
FIX_MOVED = _(
    "Nothing was learned about the key. Initialize again later; if it stays so, ask Contlo whether its addresses moved."
)

IDENTITIES = (("email", _("Email")),)

FIELDS = (
    Field(
        name="private_api_key",
        label=_("Private API Key"),
        where=_("Contlo > the store's name > Settings > Marketing Settings > API Keys > Private API Keys > Create API Key."),
        looks_like="0123456789abcdef0123456789abcdef",
        wrong=_("With the public key, or a key of another store, Contlo refuses every event."),
        secret=True,
        names_account=True,
    ),
    Field(
        name="host",
        label=_("API address"),
        where=_("Leave it empty, unless Contlo's people told you another address than https://api.contlo.com."),
        looks_like="https://api.contlo.com",
        wrong=_("With another address no event arrives."),
        required=False,
        names_account=True,
    ),
    Field(
        name="app_installed",
        label=_("Nector app installed in Contlo"),
        where=_("Contlo > App Market: search Nector; it must be installed and enabled."),
        wrong=_("Without the app Contlo may accept events and show none of them."),
        required=False,
        choices=(("true", _("Yes")), ("false", _("No"))),
    ),
)

JOURNEY = Journey(
    steps=(
        _("In Contlo, open Automations and create a new automation."),
        _("Choose the event “%(event)s” as its trigger. If it is not in the list, ask Contlo to whitelist this name."),
        _("Add email, WhatsApp or SMS, and put the event's values into the message with Contlo's own picker."),
        _("Exclude the people who should not get the message."),
        _("Send yourself a test message, then switch the automation on."),
    ),
    syntax_note=_(
        "Contlo publishes no way to write an event's values by hand. Pick them in its message editor, by the names below; "
        "in the sample message they are in [brackets]."
    ),
)

LAUNCH = (
    LaunchItem("initialized", _("Contlo is connected: Initialize succeeded."), "initialized"),
    LaunchItem("app", _("The Nector app is installed and enabled in Contlo's App Market.")),
    LaunchItem("event_created", _("At least one event is created and switched on."), "event_created"),
    LaunchItem("whitelisted", _("Contlo's customer success team has whitelisted the event's name.")),
    LaunchItem("test_accepted", _("A test event was sent, and Contlo accepted it."), "test_accepted"),
    LaunchItem("appears", _("The event appeared in Contlo after the test.")),
    LaunchItem("selectable", _("The event can be chosen as the trigger of an automation.")),
    LaunchItem("profile_matched", _("The event is on the right contact, and made no second one."), "profile_matched"),
    LaunchItem("content", _("The content is right: names, amounts, coupon, dates.")),
    LaunchItem("excluded", _("People who should not get a message are excluded, and consent is respected.")),
    LaunchItem("received", _("The test customer got the message through the intended channel.")),
    LaunchItem("link_clicked", _("A click on the tracked link came back here."), "link_clicked"),
    LaunchItem("no_duplicates", _("Duplicates are handled."), "no_duplicates"),
)

CAVEATS = (
    _("Contlo answers “success” also for an event that it has not whitelisted, and then may not show it."),
    _("Contlo takes no time from us: an event counts from the moment at which it arrives there."),
)

GUIDE = Guide(
    purpose=_("Start Contlo automations, by email, WhatsApp or SMS, the moment a customer earns coins or gets a coupon."),
    before=(
        _("An active Contlo account, and access to its Settings and its App Market."),
        _("Access to Integrations here."),
        _("Customers with an email address: Contlo knows them by it."),
        _("A private API key of your Contlo store."),
        _(
            "A list of the events you want to send. Contlo's documentation says that its customer success team must whitelist "
            "new events before they are tracked: send them the names in time."
        ),
    ),
    steps=(
        Step(
            title=_("Private API Key"),
            body=_(
                "In Contlo, click the store's name, open Settings > Marketing Settings > API Keys, create a new "
                "private key and copy it."
            ),
            fields=("private_api_key", "host"),
        ),
        Step(
            title=_("Common property"),
            body=_(
                "Email. It must be the address that Contlo knows the customer by; with a different one Contlo makes a new "
                "contact. Customers without an email address get no events."
            ),
            fields=("common_property",),
        ),
        Step(
            title=_("Initialize"),
            body=_("We ask Contlo whether the key is valid. Nothing is written to your account."),
        ),
        Step(
            title=_("In Contlo: install the Nector app"),
            body=_(
                "Open Contlo's App Market, search Nector, install the Nector app and enable it. Both sides must be on. We cannot "
                "see this from here, so confirm it yourself."
            ),
            fields=("app_installed",),
        ),
        Step(
            title=_("Create an event"),
            body=_(
                "Choose what should be sent, for example “Wallet Coins Rewarded”, and where it should fire. Contlo answers "
                "“success” also for an event that it has not whitelisted and then may not show it: ask its customer success "
                "team to whitelist the name."
            ),
            leads_to="new_event",
        ),
        Step(
            title=_("Send test event"),
            body=_("Send one to an existing customer, and look for it in Contlo."),
            leads_to="test",
        ),
        Step(
            title=_("In Contlo: build the automation"),
            body=_("Create a new automation, choose the event as its trigger, add email, WhatsApp or SMS, and publish."),
            leads_to="journey",
        ),
    ),
    check=(
        _("The key is the private one of the right store."),
        _("The common property is Email, and customers have the same address in Contlo."),
        _("The Nector app is installed and enabled in Contlo's App Market."),
        _("The event was whitelisted, and appeared in Contlo after the first one was sent."),
        _("The automation starts from the right event, and people who should not get a message are excluded."),
    ),
    journey=JOURNEY,
    launch=LAUNCH,
    caveats=CAVEATS,
)

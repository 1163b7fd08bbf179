"""What staff read while they connect Mailmodo: the steps, words and checks of its guide, and what comes after."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from integrations.providers.base import Field, Guide, Journey, LaunchItem, Step

CATEGORY = _("Email & WhatsApp Marketing")
FIX_KEY = _(
    "In Mailmodo open Settings > API Keys. Click “Add API Key”, name it, click “Show API Key” and copy all of it; then enter it "
    "here, save, and initialize again."
)
FIX_LIST = _("Enter a List Name, for example “Nector Customers”, save, and initialize again.")
FIX_NETWORK = _("Nothing was learned about the key. Check this server's connection to the internet and initialize again.")
FIX_LATER = _("Nothing was learned about the key. Initialize again in a few minutes.")
FIX_MOVED = _(
    "Nothing was learned about the key. Initialize again later; if it stays so, ask Mailmodo whether its addresses moved."
)
STATIC_SEGMENT = _(
    "Mailmodo adds nobody to the list “%(name)s”: the name belongs to a static segment there. Choose another List Name on the "
    "set-up page, save, and initialize again."
)

# support.mailmodo.com: How to archive contacts
FORGETTING = _(
    "Mailmodo archives contacts and keeps what they did in former campaigns. Archive the contact under Contacts, and ask "
    "Mailmodo's support to delete what is left."
)

IDENTITIES = (("email", _("Email")),)

FIELDS = (
    Field(
        name="api_key",
        label=_("API key"),
        where=_("Mailmodo > Settings > API Keys > Add API Key: name it, click “Show API Key” and copy it."),
        looks_like="AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD",
        wrong=_("With a wrong key, or one that was deleted in Mailmodo, no event and no customer arrives."),
        secret=True,
        names_account=True,
    ),
    Field(
        name="list_name",
        label=_("List Name"),
        where=_("Any clear name. A list of that name is made in Mailmodo and all customers are added to it."),
        looks_like="Nector Customers",
        wrong=_("With the name of a static segment Mailmodo refuses every customer. A list that exists already is added to."),
        names_account=True,
    ),
    Field(
        name="requests_per_second",
        label=_("Requests per second"),
        where=_("Your Mailmodo plan decides: Lite 5, Pro 10, Max 50 for all uses of the account together. Empty means 5."),
        looks_like="5",
        wrong=_("With more than the plan allows Mailmodo turns calls away, and everything takes longer."),
        required=False,
        choices=(("5", _("5: Lite plan")), ("10", _("10: Pro plan")), ("50", _("50: Max plan"))),
    ),
)

STEPS = (
    Step(
        title=_("API key"),
        body=_("In Mailmodo, open Settings > API Keys, click Add API Key, name it, click Show API Key and copy it."),
        fields=("api_key",),
    ),
    Step(
        title=_("Common property"),
        body=_(
            "Email: it is the only thing that Mailmodo knows people by. Customers without an email address get no events and "
            "are not put on the list."
        ),
        fields=("common_property",),
    ),
    Step(
        title=_("List Name"),
        body=_(
            "Choose any clear name, for example “Nector Customers” or “Rewards Members”. A list of that name is made in "
            "Mailmodo, and all customers are added to it. It must not be the name of a static segment: Mailmodo lets nobody be "
            "added to those from outside."
        ),
        fields=("list_name", "requests_per_second"),
    ),
    Step(
        title=_("Initialize"),
        body=_(
            "We ask Mailmodo for its lists to see whether the key is valid. Then all customers are added to yours in the "
            "background, a hundred at a time; you can leave this page. Customers who sign up later are added one by one."
        ),
    ),
    Step(
        title=_("Create an event"),
        body=_(
            "Choose what should be sent, for example “Wallet Coins Rewarded” or “Coupon Is Created”, and where it should fire."
        ),
        leads_to="new_event",
    ),
    Step(
        title=_("Send test event"),
        body=_("Send one to an existing customer. After that the event can be chosen as a trigger in Mailmodo."),
        leads_to="test",
    ),
    Step(
        title=_("In Mailmodo: build the journey"),
        body=_(
            "Journey > Create Journey > Start from Scratch. Let it begin with the occurrence of an event and choose the event's "
            "name, for example walletreward_create. Drag Send Campaign, set subject, content and template, end with Exit "
            "Journey, and publish."
        ),
        leads_to="journey",
    ),
)

JOURNEY = Journey(
    steps=(
        _("In Mailmodo open Journey > Create Journey > Start from Scratch."),
        _("Let the journey begin with the occurrence of an event, and choose “%(event)s”. It shows after one has arrived."),
        _("Drag Send Campaign below it, and set its subject, content and template."),
        _("End the journey with Exit Journey, so that nobody stays in it."),
        _("Publish the journey."),
    ),
    syntax_note=_(
        "Mailmodo publishes no template syntax for the properties of an event. Pick them in its editor, where they are offered "
        "for personalisation, by the names below; in the sample message they are in [brackets]. Send a test to yourself: a "
        "number must read like the one in the event."
    ),
)

LAUNCH = (
    LaunchItem("initialized", _("The key was checked and the integration is active."), "initialized"),
    LaunchItem("list_holds_customers", _("The list exists in Mailmodo and holds the customers.")),
    LaunchItem("event_created", _("At least one event is switched on."), "event_created"),
    LaunchItem("test_accepted", _("A test event was accepted by Mailmodo, and can be seen there."), "test_accepted"),
    LaunchItem("trigger_appears", _("The event's name appears among the triggers of a new journey.")),
    LaunchItem("right_customer", _("The test reached the right customer."), "profile_matched"),
    LaunchItem("right_values", _("The message shows the right coins and the right coupon.")),
    LaunchItem("link_clicked", _("The link in the message was clicked and opened the right page."), "link_clicked"),
    LaunchItem("consent", _("The journey only reaches people who agreed to such messages.")),
    LaunchItem("journey_exits", _("The journey ends with Exit Journey, and the test customer has left it.")),
    LaunchItem("no_duplicates", _("Nobody got the same event twice."), "no_duplicates"),
)

CAVEATS = (
    _("Mailmodo recognises no repeated event: where an answer was lost, a second try may start a journey twice."),
    _("Customers added many at a time do not start “contact added to list” journeys; later sign-ups, added one by one, do."),
    _("Mailmodo fixes the type of a property by the first value it sees: a number must stay a number."),
    _("What Mailmodo answers to a wrong key or to too many calls is not published; the key is confirmed before anything stops."),
)

GUIDE = Guide(
    purpose=_("Start Mailmodo journeys, by email, the moment a customer earns coins or gets a coupon."),
    before=(
        _("An active Mailmodo account, and access to its Settings and Journeys."),
        _("Access to Integrations here."),
        _("Customers with an email address: Mailmodo knows them by it alone."),
        _("A name for the list of your customers, and your plan's requests per second if it is more than 5."),
        _("A list of the events you want to send."),
    ),
    steps=STEPS,
    check=(
        _("The key is complete and belongs to the right Mailmodo account."),
        _("The common property is Email, and customers have the same address in Mailmodo."),
        _("The list has the name you chose, is no static segment, and holds the customers."),
        _("The event appeared in Mailmodo after the first one was sent."),
        _("The journey begins with the right event, ends with Exit Journey, and is published."),
    ),
    journey=JOURNEY,
    launch=LAUNCH,
    caveats=CAVEATS,
)

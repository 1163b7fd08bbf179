"""How the admin looks and what its side bar offers: django-unfold's settings."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _item(title: Any, icon: str, url_name: str, permission: str | None = None) -> dict[str, Any]:
    """Return one entry of the side bar, shown to those who hold the permission (all staff if none is named)."""
    item: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(url_name)}
    if permission:
        item["permission"] = lambda request: request.user.has_perm(permission)
    return item


# Pages of one integration whose addresses are not beneath its own: they are told by name.
OF_AN_INTEGRATION = frozenset({"events_statistics", "events_coming_back", "events_launch", "events_contactsync_changelist"})


def _is_of_an_integration(request: HttpRequest) -> bool:
    """Tell whether the page is one of those behind an integration's tabs."""
    return bool(request.resolver_match and request.resolver_match.url_name in OF_AN_INTEGRATION)


def _at_integrations(request: HttpRequest) -> bool:
    """Tell whether *Integrations* is where somebody is."""
    return _is_of_an_integration(request) or request.path.startswith(str(INTEGRATIONS["link"]))


def _at_events(request: HttpRequest) -> bool:
    """Tell whether *Events* is where somebody is."""
    return request.path.startswith(str(EVENTS["link"])) and not _is_of_an_integration(request)


def _for_administrators(title: Any, icon: str, url_name: str) -> dict[str, Any]:
    """Return an entry of the side bar that superusers alone see."""
    return _item(title, icon, url_name) | {"permission": lambda request: request.user.is_superuser}


INTEGRATIONS = _item(_("Integrations"), "extension", "admin:integrations_integration_changelist")
EVENTS = _item(_("Events"), "bolt", "admin:events_eventdefinition_changelist")
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Nectorbridge",
    "SITE_HEADER": "Nectorbridge",
    "SITE_SUBHEADER": _("Loyalty moments, delivered"),
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("nectorbridge/favicon.svg")}],
    "STYLES": [lambda request: static("nectorbridge/contrast.css")],
    "SCRIPTS": [lambda request: static("nectorbridge/labels.js")],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "nectorbridge.dashboard.dashboard",
    "ACCOUNT": {"navigation": [{"title": _("Second factor"), "link": reverse_lazy("second_factor")}]},
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    _item(_("Home"), "home", "admin:index"),
                    INTEGRATIONS | {"active": _at_integrations},
                    EVENTS | {"active": _at_events},
                    _item(_("Deliveries"), "outbox", "admin:events_eventdelivery_changelist"),
                ]
            },
            {
                "title": _("Loyalty"),
                "separator": True,
                "items": [
                    _item(_("Customers"), "group", "admin:loyalty_customer_changelist"),
                    _item(_("Wallets"), "account_balance_wallet", "admin:loyalty_wallet_changelist"),
                    _item(_("Coupons"), "sell", "admin:loyalty_coupon_changelist"),
                    _item(_("Orders"), "shopping_bag", "admin:loyalty_order_changelist"),
                    _item(_("Reviews"), "reviews", "admin:loyalty_review_changelist"),
                    _item(_("Referrals"), "group_add", "admin:loyalty_referral_changelist"),
                    _item(_("Tiers"), "military_tech", "admin:loyalty_tierchange_changelist"),
                    _item(_("Nector webhooks"), "webhook", "admin:loyalty_webhookreceipt_changelist"),
                ],
            },
            {
                "title": _("Administration"),
                "separator": True,
                "collapsible": True,
                "items": [
                    _item(
                        _("Merchants"),
                        "storefront",
                        "admin:integrations_merchant_changelist",
                        "integrations.view_merchant",
                    ),
                    _item(_("Staff"), "badge", "admin:integrations_membership_changelist", "integrations.view_membership"),
                    _item(
                        _("Audit trail"), "history", "admin:integrations_auditentry_changelist", "integrations.view_auditentry"
                    ),
                    _item(_("Users"), "person", "admin:auth_user_changelist", "auth.view_user"),
                    _for_administrators(_("Queue health"), "monitor_heart", "queue_health"),
                    _for_administrators(_("Encryption keys"), "key", "admin:events_keyrotation_changelist"),
                    _item(_("Background jobs"), "schedule", "admin:django_q_success_changelist", "django_q.view_task"),
                ],
            },
        ],
    },
}

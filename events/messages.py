"""Sample messages, one per trigger, for whoever writes the first one at the provider. Ours to write; theirs to change.

A value of the event stands in [brackets]; `%(coins)s` is the merchant's word for coins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext_lazy as _

PLACEHOLDER = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True, slots=True)
class Message:
    """A subject and a text."""

    subject: Any
    text: Any

    def written(self, coins: str, value: Callable[[str], str]) -> tuple[str, str]:
        """Return subject and text with the merchant's word; `value` says how a property's value is written there."""
        words = {"coins": coins}

        def fill(text: Any) -> str:
            return PLACEHOLDER.sub(lambda found: value(found.group(1)), str(text) % words)

        return fill(self.subject), fill(self.text)

    def names(self) -> set[str]:
        """Return the properties that it needs."""
        return set(PLACEHOLDER.findall(f"{self.subject} {self.text}"))


_MESSAGES: dict[str, Message] = {
    "walletreward_create": Message(
        _("You earned [coins] %(coins)s"),
        _(
            "Hi [user_name], [title] brought you [coins] %(coins)s. You now have [balance]. "
            "See what they are good for: [nector_click_url]"
        ),
    ),
    "coins_redeemed": Message(
        _("You used [coins] %(coins)s"),
        _("Hi [user_name], you just used [coins] %(coins)s; [balance] are left. Earn the next ones here: [nector_click_url]"),
    ),
    "wallettrasaction_update": Message(
        _("Your %(coins)s were updated"),
        _("Hi [user_name], an entry in your wallet changed. Your balance is [balance] %(coins)s now: [nector_click_url]"),
    ),
    "coins_expired": Message(
        _("[coins] %(coins)s have expired"),
        _(
            "Hi [user_name], the time of [coins] %(coins)s is over. [balance] are still yours; "
            "use them before they go as well: [nector_click_url]"
        ),
    ),
    "coupon_create": Message(
        _("Your reward is ready: [coupon_code]"),
        _(
            "Hi [user_name], your coupon [coupon_code] is ready. Use it on your next order, before [coupon_expires_at]: "
            "[nector_click_url]"
        ),
    ),
    "coupon_update": Message(
        _("Your coupon [coupon_code] has changed"),
        _("Hi [user_name], something about your coupon [coupon_code] is new. See it here: [nector_click_url]"),
    ),
    "coupon_redeemed": Message(
        _("Thanks for using [coupon_code]"),
        _("Hi [user_name], your coupon [coupon_code] worked. See what you can get next: [nector_click_url]"),
    ),
    "coupon_expiring": Message(
        _("Do not lose [coupon_code]"),
        _("Hi [user_name], your coupon [coupon_code] can be used until [coupon_expires_at]. Use it now: [nector_click_url]"),
    ),
    "referral_started": Message(
        _("Thanks for telling a friend"),
        _("Hi [user_name], your invitation is on its way. Once your friend orders, your reward follows: [nector_click_url]"),
    ),
    "referrernotify_create": Message(
        _("Your friend ordered: here is your reward"),
        _(
            "Hi [user_name], your friend has placed an order, so your reward is here. "
            "See it, and whom to invite next: [nector_click_url]"
        ),
    ),
    "refereenotify_create": Message(
        _("A friend has a gift for you"),
        _(
            "Hi, a friend thinks that you will like [business_name], and something is ready for your first order: "
            "[nector_click_url]"
        ),
    ),
    "incompletereferralrequest_create": Message(
        _("Your gift at [business_name] still waits"),
        _("Hi, your friend's gift is still yours. Place your first order, and both of you get something: [nector_click_url]"),
    ),
    "reviewrequest_create": Message(
        _("How did it go?"),
        _(
            "Hi [user_name], how do you like what you ordered? Tell others in a minute, and earn %(coins)s for it: "
            "[nector_click_url]"
        ),
    ),
    "review_create": Message(
        _("Thank you for your review"),
        _("Hi [user_name], thank you for taking the time. See what your review earns you: [nector_click_url]"),
    ),
    "review_update": Message(
        _("Your review is updated"),
        _("Hi [user_name], we have your new words. Thank you; others will find them useful: [nector_click_url]"),
    ),
    "review_approved": Message(
        _("Your review is online"),
        _("Hi [user_name], your review is there for everyone to read. Thank you! See what it earned: [nector_click_url]"),
    ),
    "coinexpirynotify_create": Message(
        _("[coins] %(coins)s expire in [days_left] days"),
        _("Hi [user_name], [coins] %(coins)s are yours until [expires_at]. Redeem them before: [nector_click_url]"),
    ),
    "unusedwalletcoinrequest_create": Message(
        _("Your %(coins)s wait for you"),
        _("Hi [user_name], you have %(coins)s that you have not used yet. See what you can get for them: [nector_click_url]"),
    ),
    "unusedcouponrequest_create": Message(
        _("You still have a coupon: [coupon_code]"),
        _(
            "Hi [user_name], your coupon [coupon_code] has not been used. It is good until [coupon_expires_at]: "
            "[nector_click_url]"
        ),
    ),
    "milestone_reached": Message(
        _("You made it"),
        _(
            "Hi [user_name], your %(coins)s have reached a milestone. See what you can get now, and what comes next: "
            "[nector_click_url]"
        ),
    ),
    "viptier_create": Message(
        _("Your tier at [business_name] has changed"),
        _("Hi [user_name], you are in a new tier. Here is what changes for you: [nector_click_url]"),
    ),
    "lead_create": Message(
        _("Welcome to [business_name]"),
        _(
            "Hi [user_name], good to have you here. This is how you earn %(coins)s, use them, and invite friends: "
            "[nector_click_url]"
        ),
    ),
    "lead_update": Message(
        _("Your details are up to date"),
        _("Hi [user_name], we have saved your new details. Was it not you? Look here: [nector_click_url]"),
    ),
    "order_create": Message(
        _("Thank you for your order"),
        _("Hi [user_name], your order earns you %(coins)s. See your balance and how to use it: [nector_click_url]"),
    ),
    "order_update": Message(
        _("News about your order"),
        _("Hi [user_name], something about your order has changed. See your %(coins)s here: [nector_click_url]"),
    ),
    "order_refunded": Message(
        _("Your order was refunded"),
        _("Hi [user_name], your order was refunded. See what that means for your %(coins)s: [nector_click_url]"),
    ),
}
MESSAGES: Mapping[str, Message] = MappingProxyType(_MESSAGES)

"""What pages ask about whoever looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

if TYPE_CHECKING:
    from integrations.switcher import Offer

register = template.Library()


@register.simple_tag(takes_context=True)
def merchant_switcher(context: dict[str, Any]) -> Offer | None:
    """Return the merchants to choose from; None for those who have nothing to choose."""
    from integrations.switcher import offer  # tags are loaded while the admin, which it needs, is still being made

    request = context.get("request")
    return offer(request) if request is not None and hasattr(request, "session") else None

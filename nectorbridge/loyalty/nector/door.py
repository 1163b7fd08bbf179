"""`POST /webhooks/nector/<token>/`: who may come in is decided here; what comes in is stored, and worked on later.

Two forms. Nector's own, with the sha256 of the secret in `x-nector-webhook-secret`; and a form for merchants with a platform of
their own, signed with `x-nectorbridge-signature` (see docs/webhooks.md).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from events import doors
from integrations.fields import SecretUnreadable
from integrations.lately import Lately
from integrations.models import HmacMode, Merchant
from nectorbridge.loyalty.models import DoorRefusal, HmacVerdict, Refusal
from nectorbridge.loyalty.models.receipts import LONGEST_DELIVERY_ID
from nectorbridge.loyalty.nector import body, inbox, signing, values

logger = logging.getLogger(__name__)
OURS = "x-nectorbridge-signature"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Whose address this is, with no more of the merchant than the door needs; `secrets` is None where they cannot be read."""

    pk: int
    hmac_mode: str
    secrets: Sequence[str] | None = field(repr=False)


def _mailbox(token: str) -> Mailbox | None:
    """Return whose address this is. Raises DatabaseError."""
    merchant = Merchant.objects.filter(nector_webhook_token=token).first()
    if merchant is None:
        return None
    try:
        return Mailbox(merchant.pk, merchant.nector_hmac_mode, list(merchant.nector_secrets.values()))
    except SecretUnreadable:
        logger.error("The webhook secrets of merchant %s cannot be read with FERNET_KEYS.", merchant.pk)
        return Mailbox(merchant.pk, merchant.nector_hmac_mode, None)


MAILBOXES: Lately[str, Mailbox] = Lately(_mailbox, Merchant)


@dataclass(frozen=True)
class Refused(Exception):
    """The request is turned away, with this answer. `reason` is counted."""

    status: int
    words: str
    reason: Refusal | None = None


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, token: str) -> JsonResponse:
    """Store a webhook and answer at once: 200 also for a repetition, so that it is not sent again."""
    try:
        mailbox = MAILBOXES.find(token)
        if mailbox is None:
            return doors.answer(404, "There is no merchant at this address. Copy the URL anew from the page “Nector webhooks”.")
        if refusal := doors.too_often(f"nector:{token}"):
            return refusal
        try:
            return _taken_in(request, mailbox)
        except Refused as refused:
            _count(mailbox.pk, refused.reason)
            return doors.answer(refused.status, refused.words)
    except DatabaseError as error:
        logger.warning("A webhook could not be stored (%s); it is refused, so that it comes again.", type(error).__name__)
        return doors.answer(503, "It could not be stored now. Send it again.")


def _taken_in(request: HttpRequest, mailbox: Mailbox) -> JsonResponse:
    """Check and store. Raises Refused, or DatabaseError."""
    raw = _raw(request)
    secrets = _secrets(mailbox)
    arrived = (
        _of_own_platform(request, raw, secrets)
        if OURS in request.headers
        else _of_nector(request, raw, secrets, mailbox.hmac_mode)
    )
    return doors.stored(inbox.store(mailbox.pk, arrived))


def _raw(request: HttpRequest) -> bytes:
    """Return the body as it was sent."""
    try:
        return request.body
    except RequestDataTooBig:
        raise Refused(413, "The body is too large.", Refusal.TOO_LARGE) from None
    except UnreadablePostError:
        raise Refused(400, "The body did not arrive as a whole.", Refusal.UNREADABLE) from None


def _secrets(mailbox: Mailbox) -> Sequence[str]:
    """Return the secrets that are valid. A merchant without one lets nobody in."""
    if mailbox.secrets is None:
        raise Refused(503, "The secret cannot be checked now. Send it again.")
    if not mailbox.secrets:
        raise Refused(401, "This merchant has no webhook secret yet. Set one on the page “Nector webhooks”.", Refusal.NO_SECRET)
    return mailbox.secrets


def _of_nector(request: HttpRequest, raw: bytes, secrets: Sequence[str], hmac_mode: str) -> inbox.Arrived:
    """Return a webhook of Nector's. Raises Refused."""
    headers = request.headers
    secret = signing.matching(headers.get("x-nector-webhook-secret", ""), secrets)
    if secret is None:
        raise Refused(401, "The secret in x-nector-webhook-secret is missing or wrong.", Refusal.SECRET)
    found = HmacVerdict.OFF
    if hmac_mode != HmacMode.OFF:
        found = signing.verdict(headers.get("x-nector-webhook-hmac", ""), raw, secret)
        if hmac_mode == HmacMode.ENFORCE and found != HmacVerdict.VALID:
            raise Refused(401, "The HMAC in x-nector-webhook-hmac is missing or wrong.", Refusal.HMAC)
    content, topic = _read(raw), _header(request, "x-nector-topic")
    return inbox.Arrived(
        topic=topic,
        body=content,
        fingerprint=body.fingerprint(topic, content),
        delivery_id=_header(request, "x-nector-delivery-id"),
        source=_header(request, "x-source"),
        sent_at=values.moment(headers.get("x-nector-timestamp", "")),
        hmac=found,
    )


def _of_own_platform(request: HttpRequest, raw: bytes, secrets: Sequence[str]) -> inbox.Arrived:
    """Return what a merchant's own platform sent: {topic, id, sent_at, source, customer, data}. Raises Refused."""
    sent = request.headers[OURS].strip().removeprefix("sha256=")
    verdicts = [signing.verdict(sent, raw, secret) for secret in secrets]
    if HmacVerdict.VALID not in verdicts:
        raise Refused(401, f"The HMAC in {OURS} is missing or wrong.", Refusal.HMAC)
    content = _read(raw)
    topic, own_id = (values.text(content.get(name), LONGEST_DELIVERY_ID) for name in ("topic", "id"))
    if not topic or not own_id:
        raise Refused(400, "“topic” and “id” must be given.", Refusal.UNREADABLE)
    return inbox.Arrived(
        topic=topic,
        body=content,
        fingerprint=body.fingerprint("id", own_id),  # its own ID says whether it is the same
        delivery_id=own_id,
        source=values.text(content.get("source"), LONGEST_DELIVERY_ID),
        sent_at=values.moment(content.get("sent_at")),
        hmac=HmacVerdict.VALID,
    )


def _read(raw: bytes) -> dict[str, Any]:
    """Return the body as an object."""
    try:
        return body.read(raw)
    except body.Unreadable as error:
        raise Refused(400, str(error), Refusal.UNREADABLE) from None


def _header(request: HttpRequest, name: str) -> str:
    """Return a header's value, empty where it is missing."""
    return request.headers.get(name, "").replace("\x00", "").strip()


def _count(merchant_id: int, reason: Refusal | None) -> None:
    """Count a refusal; what was sent is not kept."""
    if reason is None:
        return
    now = timezone.now()
    row = DoorRefusal.objects.filter(merchant=merchant_id, day=now.date(), reason=reason)
    if row.update(count=F("count") + 1, last_at=now):
        return
    try:
        with transaction.atomic():
            DoorRefusal.objects.create(merchant_id=merchant_id, day=now.date(), reason=reason, count=1, last_at=now)
    except IntegrityError:  # somebody was turned away in this very moment, too
        row.update(count=F("count") + 1, last_at=now)

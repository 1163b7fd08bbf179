"""A merchant's staff: invite by email, join by the link, change a role, remove. The last owner stays.

The link is signed, expires, and works once. What comes of an invitation tells nobody whether an address has an account: only who
holds the link, and so reads that mailbox, learns it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.audit import Act, note
from integrations.letters import written
from integrations.models import Invitation, Membership, Merchant, Role

VALID = timedelta(days=7)
SALT = "integrations.invitation"
DUMMY = "django.core.mail.backends.dummy.EmailBackend"
LAST_OWNER = gettext_lazy("This is the last owner. Make somebody else an owner first.")
MOST_OPEN = 100  # invitations of one merchant: nobody sends mail to the world from here


class StaffError(ValueError):
    """It cannot be done; the text says why, for people."""


# --- Invite --------------------------------------------------------------------------------------------------------------
def invite(merchant: Merchant, email: str, role: str, by: Any) -> Invitation:
    """Return the invitation of an address, made or renewed, its mail handed over. Raises StaffError where no mail can leave."""
    if settings.EMAIL_BACKEND == DUMMY:
        raise StaffError(_("This installation sends no mail yet. An administrator sets EMAIL_URL."))
    address = email.strip().lower()
    if Invitation.objects.filter(merchant=merchant, accepted_at=None).exclude(email=address).count() >= MOST_OPEN:
        raise StaffError(_("Too many invitations are open. Withdraw some first."))
    values = {"role": role, "invited_by": by, "created_at": timezone.now(), "expires_at": timezone.now() + VALID}
    with transaction.atomic():
        found, _made = Invitation.objects.update_or_create(
            merchant=merchant, email=address, accepted_at=None, defaults=values | {"word_hash": ""}
        )
        note(Act.INVITED, found, email=address, role=role)
    send(found)
    return found


def send(invitation: Invitation) -> None:
    """Hand over the mail, with a new link; an earlier one is void. Raises StaffError where the mail server refuses."""
    word = secrets.token_urlsafe(24)
    invitation.word_hash, invitation.expires_at = _hash(word), timezone.now() + VALID
    invitation.save(update_fields=["word_hash", "expires_at"])
    token = signing.dumps([invitation.pk, word], salt=SALT, compress=False)
    values = {
        "merchant": invitation.merchant.name,
        "role": invitation.get_role_display(),
        "by": str(invitation.invited_by or ""),
        "url": settings.PUBLIC_URL + reverse("admin:integrations_invitation_join", args=[token]),
        "days": VALID.days,
    }
    letter = written(_("You are invited to %(merchant)s"), "integrations/invitation.txt", values)
    try:
        letter.to(invitation.email).send()
    except Exception as error:  # whatever a mail server or its client does
        raise StaffError(_("The mail could not be sent. Try again later.")) from error


def _hash(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


# --- Join ----------------------------------------------------------------------------------------------------------------
def find(token: str) -> Invitation | None:
    """Return the invitation that a link belongs to; None where it is no link of ours, is over, used or replaced."""
    try:
        key, word = signing.loads(token, salt=SALT, max_age=VALID)
        valid = Invitation.objects.filter(accepted_at=None, expires_at__gt=timezone.now())
        return valid.select_related("merchant").filter(pk=key, word_hash=_hash(word)).first()
    except (signing.BadSignature, ValueError, TypeError, AttributeError):
        return None


def account_of(invitation: Invitation) -> bool:
    """Tell whether the address has an account. For the holder of the link alone."""
    model = get_user_model()
    named = {f"{model.USERNAME_FIELD}__iexact": invitation.email}
    return model.objects.filter(email__iexact=invitation.email).exists() or model.objects.filter(**named).exists()


@transaction.atomic
def join(invitation: Invitation, user: Any) -> bool:
    """Add a user to the staff, once. Who is in it already keeps their role. Returns False where the link was used meanwhile."""
    mine = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, word_hash=invitation.word_hash)
    if not mine.update(accepted_at=timezone.now(), word_hash=""):
        return False
    Membership.objects.get_or_create(merchant=invitation.merchant, user=user, defaults={"role": invitation.role})
    if not user.is_staff:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    return True


def sign_up(invitation: Invitation, name: str, password: str) -> Any:
    """Return a new user with the invited address, in the staff; None where the link was used, or the address has an account."""
    if account_of(invitation):
        return None
    model: Any = get_user_model()
    try:
        with transaction.atomic():
            user = model.objects.create_user(invitation.email, invitation.email, password, first_name=name[:150], is_staff=True)
            if not join(invitation, user):
                raise IntegrityError
    except IntegrityError:
        return None
    return user


# --- Who stays -----------------------------------------------------------------------------------------------------------
def is_last_owner(membership: Membership) -> bool:
    """Tell whether nobody else could look after the merchant's staff."""
    others = Membership.objects.filter(merchant=membership.merchant_id, role=Role.OWNER, user__is_active=True)
    was_owner = Membership.objects.filter(pk=membership.pk, role=Role.OWNER).exists()
    return was_owner and not others.exclude(pk=membership.pk).exists()


def check_somebody_owns(merchant: Merchant, owners: Iterable[Any]) -> None:
    """Raise StaffError where these are to be all owners, none with an active account, and so far there is one.

    To be called in the transaction that writes them: the lock on the merchant is what `_check_stays` waits for, too.
    """
    Merchant.objects.select_for_update().get(pk=merchant.pk)
    owned = Membership.objects.filter(merchant=merchant.pk, role=Role.OWNER, user__is_active=True).exists()
    if owned and not any(user.is_active for user in owners):
        raise StaffError(LAST_OWNER)


@transaction.atomic
def change_role(membership: Membership, role: str) -> None:
    """Give a member another role. Raises StaffError for the last owner."""
    _check_stays(membership, role)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove(membership: Membership) -> None:
    """Take somebody out of the staff; their account stays. Raises StaffError for the last owner."""
    _check_stays(membership, "")
    membership.delete()


def _check_stays(membership: Membership, role: str) -> None:
    """Raise StaffError where no owner would be left. Two owners who remove each other wait for one another here."""
    Merchant.objects.select_for_update().get(pk=membership.merchant_id)
    if role != Role.OWNER and is_last_owner(membership):
        raise StaffError(LAST_OWNER)

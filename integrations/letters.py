"""Mails in plain words: a template's text, a subject of one line, and headers that ask machines not to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.mail import EmailMessage
from django.template.loader import render_to_string

LONGEST_SUBJECT = 150
HEADERS = {"Auto-Submitted": "auto-generated"}  # RFC 3834: no out-of-office answers, please


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its recipient."""

    subject: str
    body: str

    def to(self, address: str, connection: Any = None) -> EmailMessage:
        """Return the mail to this address."""
        return EmailMessage(self.subject, self.body, to=[address], connection=connection, headers=HEADERS)


def written(subject: str, template: str, values: Mapping[str, Any]) -> Letter:
    """Return a letter from a subject with %(names)s and a template, with these values."""
    line = " ".join((subject % values).split())  # a line break in a name would be a header of its own
    return Letter(line[:LONGEST_SUBJECT], render_to_string(template, dict(values)).strip() + "\n")

"""Finds the forms on a page, and what a browser would post with each of their buttons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

Body = dict[str, list[str]]
FILLED = {"number": "1", "email": "zq@zq.example", "date": "2030-01-01", "time": "10:00", "url": "https://zq.example/"}


@dataclass
class Form:
    """A form that posts."""

    action: str
    body: Body = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)  # name, value, address of its own
    actions: list[str] = field(default_factory=list)  # of the admin's drop-down

    def posts(self) -> Iterator[tuple[str, Body]]:
        """Yield address and body for each button and each action."""
        extra = [{"action": [action], "index": ["0"]} for action in self.actions]
        extra += [{"action": [action], "select_across": ["1"]} for action in self.actions]
        for name, value, action in [("", "", ""), *self.buttons]:
            yield action or self.action, self.body | ({name: [value]} if name else {})
        for more in extra:
            yield self.action, self.body | more


class _Parser(HTMLParser):
    """Collects the forms of a page, with the fields that refer to them from outside."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.forms = address, []
        self.form: Form | None = None
        self.select: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method", "").lower() == "post":
            self.form = Form(urljoin(self.address, given.get("action") or self.address))
            self.forms.append(self.form)
        if self.form is None:
            return
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "button" or (tag == "input" and kind in ("submit", "image")):
            own = urljoin(self.address, given["formaction"]) if given.get("formaction") else ""
            if kind != "button":
                self.form.buttons.append((name, given.get("value", ""), own))
        elif tag == "input" and name and name != "csrfmiddlewaretoken":
            ticked = "checked" in given or name == "_selected_action"
            if kind in ("checkbox", "radio"):
                if ticked or (kind == "radio" and name not in self.form.body):
                    self.form.body.setdefault(name, []).append(given.get("value", "on"))
            elif kind != "file":
                self.form.body.setdefault(name, []).append(given.get("value") or FILLED.get(kind, "zq" * (kind != "hidden")))
        elif tag == "textarea" and name:
            self.form.body.setdefault(name, []).append("zq")
        elif tag == "select" and name:
            self.select = (name, [])
        elif tag == "option" and self.select is not None:
            at = 0 if "selected" in given and given.get("value") else len(self.select[1])
            self.select[1].insert(at, given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self.select is not None and self.form is not None:
            name, values = self.select[0], [value for value in self.select[1] if value]
            if name == "action":
                self.form.actions = values
            else:
                self.form.body.setdefault(name, []).extend(values[:1] or [""])
            self.select = None
        if tag == "form":
            self.form = None


def posts_on(address: str, page: str) -> list[tuple[str, Body]]:
    """Return what can be posted from a page: address and body."""
    parser = _Parser(address)
    parser.feed(page)
    return [post for form in parser.forms for post in form.posts()]

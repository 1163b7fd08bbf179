"""What is marked for translation in the project's code and templates, found without gettext's tools.

The same as `xgettext` finds, with the keywords that Django's `makemessages` gives it (a test compares where it is installed).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation.template import templatize

# The places of the word, its plural and its context among a function's arguments.
FUNCTIONS: dict[str, tuple[int, int | None, int | None]] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), (0, None, None)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (0, 1, None)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), (1, None, 0)),
}
QUOTED = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
IN_TEMPLATE = re.compile(
    rf"(?<!\w)(?:(?:gettext|_)\({QUOTED}\)|ngettext\({QUOTED}, {QUOTED},|pgettext\((?P<context>{QUOTED}), (?P<text>{QUOTED})\))"
)
SCRIPTS = "languages/borrowed_scripts.py"
LEFT_OUT = {"tests", "migrations", "testing", "locale", "static"}


@dataclass(frozen=True, slots=True)
class Word:
    """One message, with its plural where it has one, and what tells it from another of the same text."""

    text: str
    plural: str = ""
    context: str = ""

    @property
    def key(self) -> str:
        """What it is found by."""
        return f"{self.context}\4{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class Home:
    """Where a catalog is, and the folders or files whose words it holds; scripts of pages have a domain of their own."""

    locale: Path
    folders: tuple[Path, ...]
    domain: str = "django"


def homes() -> list[Home]:
    """Return every catalog's place: the apps have their own, the project's holds the pages' words, too."""
    base = Path(settings.BASE_DIR)
    apart = [base / "integrations", base / "events"]
    project = base / "nectorbridge"
    return [
        *(Home(folder / "locale", (folder,)) for folder in apart),
        Home(project / "locale", (project, base / "templates")),
        Home(project / "locale", (project / SCRIPTS,), "djangojs"),
    ]


def marked(home: Home) -> dict[Word, list[str]]:
    """Return the words of a catalog, each with the files it stands in (relative to the project), in the order of files."""
    base = Path(settings.BASE_DIR)
    found: dict[Word, list[str]] = {}
    for folder in home.folders:
        others = base / "nectorbridge" / SCRIPTS if home.domain == "django" else None
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if path == others or path.suffix not in READERS or LEFT_OUT & set(path.relative_to(base).parts):
                continue
            for word in READERS[path.suffix](path.read_text()):
                files = found.setdefault(word, [])
                if (name := path.relative_to(base).as_posix()) not in files:
                    files.append(name)
    return _joined(found)


def _joined(found: dict[Word, list[str]]) -> dict[Word, list[str]]:
    """Return the words, with one that stands alone in one place and with a plural in another taken once."""
    plurals = {word.key: word for word in found if word.plural}
    joined: dict[Word, list[str]] = {}
    for word, files in found.items():
        known = joined.setdefault(plurals.get(word.key, word), [])
        known += [name for name in files if name not in known]
    return joined


def in_python(source: str) -> Iterator[Word]:
    """Yield what a Python file marks."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called in FUNCTIONS:
            texts = ["" if place is None else _text_of(node, place) for place in FUNCTIONS[called]]
            if all(text or place is None for text, place in zip(texts, FUNCTIONS[called], strict=True)):
                yield Word(*texts)


def _text_of(call: ast.Call, place: int) -> str:
    """Return an argument that is a text written out; empty for anything else."""
    node = call.args[place] if place < len(call.args) else None
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def in_template(source: str) -> Iterator[Word]:
    """Yield what a template marks."""
    for match in IN_TEMPLATE.finditer(templatize(source)):
        if match["context"]:
            yield Word(ast.literal_eval(match["text"]), context=ast.literal_eval(match["context"]))
        else:
            yield Word(*(ast.literal_eval(text) for text in match.groups() if text))


READERS = {".py": in_python, ".html": in_template, ".txt": in_template}

"""Brings the catalogs up to what is marked: new messages come in empty, those that are gone go, translations stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import django
from django.conf import settings

from nectorbridge.languages.catalog import Catalog, Entry, compiled, faults, read, text_of
from nectorbridge.languages.marked import Home, Word, homes, marked

FORMS = "Plural-Forms"


@dataclass(frozen=True, slots=True)
class State:
    """One catalog as it is to be, beside where it is."""

    path: Path
    catalog: Catalog

    @property
    def is_written(self) -> bool:
        """Tell whether both files are as they are to be."""
        po, mo = self.path, self.path.with_suffix(".mo")
        return (
            po.exists() and po.read_text() == text_of(self.catalog) and mo.exists() and mo.read_bytes() == compiled(self.catalog)
        )

    @property
    def missing(self) -> list[str]:
        """The messages without a translation."""
        return [entry.word.text for entry in self.catalog.entries.values() if not entry.is_translated]

    @property
    def faults(self) -> list[str]:
        """What translations lost or added."""
        return [line for entry in self.catalog.entries.values() if entry.is_translated for line in faults(entry)]

    def write(self) -> None:
        """Write both files."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(text_of(self.catalog))
        self.path.with_suffix(".mo").write_bytes(compiled(self.catalog))


def languages() -> list[str]:
    """Return the languages that have catalogs: all but the one that the code is written in."""
    return [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


def states(language: str) -> list[State]:
    """Return every catalog of a language as it is to be."""
    places = [(home, home.locale / language / "LC_MESSAGES" / f"{home.domain}.po") for home in homes()]
    known = {path: read(path) for _home, path in places}
    # A message that moved to another room takes its translation along.
    anywhere = {text: entry for catalog in known.values() for text, entry in catalog.entries.items() if entry.is_translated}
    return [State(path, _merged(home, known[path], anywhere, language)) for home, path in places]


def _merged(home: Home, old: Catalog, anywhere: dict[str, Entry], language: str) -> Catalog:
    """Return a catalog with what is marked today, and what is known of it."""
    new = Catalog(_head(old, language))
    for word, files in marked(home).items():
        known = old.entries.get(word.key)
        known = known if known and known.is_translated else anywhere.get(word.key) or known
        new.entries[word.key] = Entry(word, _forms(word, known, new.plural_forms), files, bool(known and known.is_fuzzy))
    return new


def _forms(word: Word, known: Entry | None, count: int) -> list[str]:
    """Return the forms of a message: those that are known, if it still has the same plural."""
    wanted = count if word.plural else 1
    if known is None or known.word.plural != word.plural or len(known.forms) != wanted:
        return [""] * wanted
    return known.forms


def _head(old: Catalog, language: str) -> dict[str, str]:
    """Return the head of a catalog, with the plurals that Django itself has for the language."""
    own = Path(django.__file__).parent / "conf" / "locale" / language / "LC_MESSAGES" / "django.po"
    forms = old.head.get(FORMS) or read(own).head.get(FORMS, "nplurals=2; plural=(n != 1);")
    kind = "text/plain; charset=UTF-8"
    return {"Language": language, "MIME-Version": "1.0", "Content-Type": kind, "Content-Transfer-Encoding": "8bit", FORMS: forms}

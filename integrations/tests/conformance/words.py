"""What staff type and read: names, values, the guide."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from events.triggers import CATALOGUE
from integrations.providers.base import InvalidName, Provider
from integrations.tests.conformance.subject import FEW, Subject


def default_names_are_names_that_it_takes(it: Subject) -> None:
    names = [it.provider.event_name(it.provider.default_event_name(key)) for key in CATALOGUE]
    titles = [it.provider.event_name(trigger.title("points")) for trigger in CATALOGUE.values()]
    assert len(set(names)) == len(names) and len(set(titles)) == len(titles)
    assert all(it.provider.event_name(name) == name for name in [*names, *titles])


@FEW
@given(name=st.text(max_size=40) | st.text(alphabet="abcXYZ _-.%\t\u3000é", max_size=20))
def _any_name(provider: Provider, name: str) -> None:
    try:
        left = provider.event_name(name)
    except InvalidName as error:
        assert str(error)
        return
    assert left.strip() and provider.event_name(left) == left


def names_leave_as_they_were_shown(it: Subject) -> None:
    _any_name(it.provider)


@FEW
@given(value=st.text(max_size=40) | st.text(alphabet="abc019.:/-_ \t", max_size=20))
def _any_value(provider: Provider, name: str, value: str) -> None:
    try:
        tidy = provider.clean(name, value)
    except ValueError as error:
        assert str(error)
        return
    assert provider.clean(name, tidy) == tidy


def values_are_tidied_once(it: Subject) -> None:
    known = {**it.account.settings, **it.account.secrets}
    for item in it.provider.fields:
        samples = [item.looks_like, known.get(item.name, ""), *(value for value, _label in item.choices)]
        for sample in filter(None, samples):
            tidy = it.provider.clean(item.name, str(sample))
            assert tidy and it.provider.clean(item.name, f"  {tidy}\n") == tidy
        _any_value(it.provider, item.name)


def it_says_what_it_is(it: Subject) -> None:
    provider = it.provider
    assert provider.slug.isascii() and provider.slug.isalnum() and provider.slug.islower() and len(provider.slug) <= 30
    assert str(provider.label).strip() and str(provider.category).strip()
    assert urlsplit(provider.docs_url).scheme == "https"
    assert provider.calls_per_second(it.account) is None or provider.calls_per_second(it.account) > 0
    ids = {provider.new_remote_id() for _number in range(3)}
    assert ids == {""} or len(ids) == 3
    names = [value for value, _label in provider.identities]
    assert names and len(set(names)) == len(names)
    for name in names:
        assert name in it.person(0) and provider.identity(it.person(0), name)


def its_guide_leaves_no_field_out(it: Subject) -> None:
    provider, guide = it.provider, it.provider.guide
    shown = [name for step in guide.steps for name in step.fields]
    assert sorted(shown) == sorted(["common_property", *(item.name for item in provider.fields)])
    for item in provider.fields:
        assert str(item.label).strip() and str(item.where).strip()
        assert not item.required or item.looks_like or item.choices or item.wrong, f"how does one know a wrong {item.name}?"
        assert not (item.secret and item.choices)
    assert any("initialize" in str(step.title).lower() and not step.fields for step in guide.steps)
    assert all(str(step.title).strip() and str(step.body).strip() for step in guide.steps)
    assert str(guide.purpose).strip() and guide.before and guide.check

"""CSV files as rows: every way in which people write them, and what is wrong with them said row by row."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nectorbridge.loyalty.imports import mobiles, reading
from nectorbridge.loyalty.imports.reading import Table, Unreadable
from nectorbridge.loyalty.imports.rows import Reader, Row
from nectorbridge.loyalty.nector import record

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HEAD = "email,mobile,points_balance,points_operation\n"


def table(content: str | bytes) -> Table:
    return Table(io.BytesIO(content.encode() if isinstance(content, str) else content))


def read(content: str | bytes):
    reader = Reader("Asia/Kolkata", NOON)
    return [reader.read(one) for one in table(content)]


def one(line: str, head: str = HEAD):
    (found,) = read(head + line)
    return found


def faults(line: str, head: str = HEAD):
    return [(fault.column, fault.value) for fault in one(line, head)]


# --- The file --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_separators_line_ends_and_character_sets_are_found_out(delimiter, ending, charset):
    lines = [delimiter.join(cells) for cells in (("Email", "Points Balance", "name"), ("a@b.example", "5", "Zoë"))]
    (row,) = read((ending.join(lines) + ending).encode(charset))
    assert (row.email, row.amount, row.name, row.number) == ("a@b.example", 5, "Zoë", 2)


def test_columns_are_found_in_any_order_and_case_and_the_others_are_named():
    found = table("Shop,POINTS_OPERATION,expiry-days,Points_Balance, E-Mail ,points,tags\n").header
    assert found.names == {"points_operation": "POINTS_OPERATION", "expiry": "expiry-days"} | {
        "points_balance": "Points_Balance",
        "email": "E-Mail",
    }
    assert list(found.ignored) == ["Shop", "points", "tags"], "the second column of a kind is not read"


@pytest.mark.parametrize("name", ["expiry", "points_expiry", "expiry_days", "expires_at", "Expiry Date"])
def test_the_expiry_goes_by_many_names(name):
    assert one("a@b.example,5,10", f"email,points_balance,{name}\n").expires_at is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "first row must name"),
        ("\n\n", "first row must name"),
        ("%PDF-1.7\x00\x01", "first row must name"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "first row must name"),
        ("email,mobile\na@b.example,1", "no column points_balance"),
        ("points_balance,name\n1,A", "no column that says whose"),
        (",".join(["x"] * 600), "600 columns"),
    ],
)
def test_a_file_of_which_nothing_can_be_made_is_refused_in_one_sentence(content, words):
    with pytest.raises(Unreadable, match=words):
        table(content)


def test_rows_are_numbered_as_a_spreadsheet_does_and_empty_ones_are_nothing():
    found = read("\n" + HEAD + "a@b.example,,1,cr\n\n , ,\t,\nb@b.example,,2,dr\n")
    assert [(row.number, row.amount, row.is_debit) for row in found] == [(3, 1, False), (6, 2, True)]


def test_nul_bytes_are_taken_out():
    row = one("a\x00@b.example,,5\x00,c\x00r")
    assert (row.email, row.amount, row.is_debit) == ("a@b.example", 5, False)


def test_ragged_rows_cost_only_themselves():
    found = read(HEAD + "a@b.example,,5\na@b.example,,6,cr,,\na@b.example,,7,cr,surplus\na@b.example\nb@b.example,,8,cr\n")
    assert [row.amount for row in found if isinstance(row, Row)] == [5, 6, 8]
    assert "more cells" in found[2][0].message and found[3][0].column == "points_balance"


def test_a_quotation_mark_that_is_not_closed_costs_one_row():
    lines = [f"p{number}@b.example,,{number},cr\n" for number in range(1, 200)]
    lines[20] = '"p21@b.example,,21,cr\n'
    lines[-1] = '"p199@b.example,,199,cr'
    found = read(HEAD + "".join(lines))
    assert len(found) == 199
    bad = [row[0] for row in found if not isinstance(row, Row)]
    assert [fault.number for fault in bad] == [22, 200] and "quotation mark" in bad[0].message
    assert [row.amount for row in found if isinstance(row, Row)] == [n for n in range(1, 199) if n != 21]


def test_a_file_full_of_such_rows_is_none(monkeypatch):
    monkeypatch.setattr(reading, "MOST_UNCLOSED", 3)
    with pytest.raises(Unreadable, match="more than 3 rows"):
        read(HEAD + ('"a@b.example,,5\n' + "a@b.example,,5\n" * 60) * 4)


def test_texts_with_separators_quotes_and_lines_in_them_are_one_cell():
    row = one('a@b.example,,5,cr,"Thanks, ""dear""\nAsha"', HEAD.strip() + ",reason\n")
    assert row.title == 'Thanks, "dear"\nAsha'


def test_a_huge_cell_is_cut_before_it_is_kept_and_an_absurd_one_is_an_error():
    assert faults(f"a@b.example,,5,cr,{'x' * 5000}", HEAD.strip() + ",name\n") == [("name", "x" * 100)]
    found = read(HEAD + "x" * 200_000 + ",,5,cr\nb@b.example,,6,cr\n")
    assert not isinstance(found[0], Row) and found[1].amount == 6


# --- A row -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (",,5,cr", [("", "")]),
        ("nobody,,5,cr", [("email", "nobody")]),
        ("a***@b.example,,5,cr", [("email", "a***@b.example")]),
        (",98****10,5,cr", [("mobile", "98****10")]),
        (",12,5,cr", [("mobile", "12")]),
        ("a@b.example,,,cr", [("points_balance", "")]),
        ("a@b.example,,0,cr", [("points_balance", "0")]),
        ("a@b.example,,-5,cr", [("points_balance", "-5")]),
        ("a@b.example,,1.5,cr", [("points_balance", "1.5")]),
        ('a@b.example,,"1,000",cr', [("points_balance", "1,000")]),
        ("a@b.example,,1e3,cr", [("points_balance", "1e3")]),
        ("a@b.example,,٣,cr", [("points_balance", "٣")]),
        ("a@b.example,,9999999999999999,cr", [("points_balance", "9999999999999999")]),
        ("a@b.example,,5,give", [("points_operation", "give")]),
        ("x,1,y,z", [("email", "x"), ("mobile", "1"), ("points_balance", "y"), ("points_operation", "z")]),
        (f"{'a' * 250}@b.example,,5,cr", [("email", f"{'a' * 100}")]),
    ],
)
def test_what_is_wrong_is_said_with_its_column_and_value(line, wrong):
    assert faults(line) == wrong


@pytest.mark.parametrize(
    ("said", "amount", "is_debit"),
    [("5,", 5, False), ("5.00,CR", 5, False), ("+7,Credit", 7, False), ("7, dr ", 7, True), ("7,DEBIT", 7, True)],
)
def test_amounts_and_operations_are_read_as_they_are_written(said, amount, is_debit):
    row = one(f"a@b.example,,{said}")
    assert (row.amount, row.is_debit) == (amount, is_debit)


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("", None),
        ("2026-12-31", datetime(2026, 12, 31, 18, 29, 59, tzinfo=UTC)),
        ("20261231T10:00", datetime(2026, 12, 31, 4, 30, tzinfo=UTC)),
        ("2026-12-31T10:00:00Z", datetime(2026, 12, 31, 10, tzinfo=UTC)),
        ("2026-12-31 10:00:00+02:00", datetime(2026, 12, 31, 8, tzinfo=UTC)),
        ("1", datetime(2026, 11, 2, 18, 29, 59, tzinfo=UTC)),
        ("365", datetime(2027, 11, 1, 18, 29, 59, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_day_of_the_merchant_a_moment_or_a_number_of_days(said, moment):
    assert one(f"a@b.example,5,{said}", "email,points_balance,expiry\n").expires_at == moment


@pytest.mark.parametrize("said", ["0", "99999", "31/12/2027", "2026-10-31", "2026-11-01T11:00:00Z", "never", "2026-13-01"])
def test_an_expiry_that_is_none_or_over_is_an_error(said):
    assert faults(f"a@b.example,5,{said}", "email,points_balance,expiry\n") == [("expiry", said)]


@pytest.mark.parametrize("said", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_beyond_all_calendars_is_an_error(said):
    assert faults(f"a@b.example,5,{said}", "email,points_balance,expiry\n") == [("expiry", said)]


def test_of_a_debit_the_expiry_is_not_looked_at():
    assert one("a@b.example,5,dr,whenever", "email,points_balance,points_operation,expiry\n").expires_at is None


def test_a_store_id_is_read_without_its_source():
    row = one("shopify-7078,5", "customer_id,points_balance\n")
    assert (row.customer_id, row.nector_id) == ("7078", "shopify-7078")


def test_a_mobile_without_its_code_gets_that_of_its_country():
    assert one("98765 43210,5,ind", "mobile,points_balance,country\n").phone == "+919876543210"


# --- Mobiles ---------------------------------------------------------------------------------------------------------------
CODES = [
    "1",
    "7",
    "20",
    "33",
    "39",
    "44",
    "49",
    "52",
    "54",
    "55",
    "61",
    "62",
    "81",
    "86",
    "91",
    "225",
    "358",
    "377",
    "800",
    "999",
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CODES), st.from_regex(r"[0-9]{4,12}", fullmatch=True))
def test_a_mobile_is_written_as_webhooks_write_it(code, rest):
    number = f"+{code}{rest}"
    assert mobiles.normal(number) == record.phone(number)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="+0123456789 ()-*٣a", max_size=20))
def test_whatever_is_no_number_is_so_everywhere(said):
    assert mobiles.normal(said) == record.phone(said)


# --- Anything --------------------------------------------------------------------------------------------------------------
CELLS = st.one_of(
    st.sampled_from(["", "a@b.example", "A@B.example", "+919876543210", "5", "0", "dr", "cr", "2027-01-01", '"', "\x00", "é"]),
    st.text(max_size=12),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(CELLS, max_size=7), max_size=12),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "cp1252", "utf-16"]),
)
def test_no_content_raises_anything_but_unreadable(lines, delimiter, ending, charset):
    head = delimiter.join(reading.FIELDS[:7])
    content = ending.join([head, *(delimiter.join(cells) for cells in lines)])
    for found in read(content.encode(charset, "replace")):
        assert isinstance(found, Row) or found


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_unreadable(content):
    for prefix in (b"", HEAD.encode(), "\ufeff".encode() + HEAD.encode()):
        try:
            read(prefix + content)
        except Unreadable:
            assert not prefix

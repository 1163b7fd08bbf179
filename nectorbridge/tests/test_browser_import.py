"""A file of customers from the list to the result, in real headless Chromium, with a real worker."""

from __future__ import annotations

import re

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.browser import MARKS, MERCHANT, browsing, log_in, served

pytestmark = MARKS
PEOPLE = "Customer.objects.create(merchant=m, customer_id='1', email='asha@example.com', name='Asha Rao')\nprint(1)\n"


def test_upload_look_start_and_read_what_came_of_it(tmp_path):
    file = tmp_path / "people.csv"
    rows = [f"p{number}@example.com,,{number + 1},cr" for number in range(2500)]
    file.write_text(
        "\n".join(["email,mobile,points_balance,points_operation", "Asha@example.com,,120,cr", "nobody,,1,cr", *rows])
    )
    with Sandbox.running() as sandbox, served(tmp_path, sandbox, MERCHANT + PEOPLE) as (_outside, base), browsing() as page:
        log_in(page, base)
        page.goto(f"{base}/admin/loyalty/customer/")
        page.get_by_role("link", name=re.compile("Import")).first.click()
        page.get_by_role("link", name=re.compile("Import a file")).first.click()
        page.set_input_files("input[name=file]", str(file))
        page.get_by_role("button", name=re.compile("Upload and look")).click()
        page.get_by_text("This is no email address.").first.wait_for()
        page.get_by_role("button", name=re.compile("Start import")).click()
        page.get_by_text(re.compile("1 row was left out")).first.wait_for(timeout=60_000)
        page.get_by_text("2,502 rows").first.wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the errors").click()
        with open(download.value.path()) as errors:
            assert "nobody" in errors.read()
        page.goto(f"{base}/admin/loyalty/customer/?q=Asha")
        page.get_by_text("120 coins").first.wait_for()
        assert page.problems == []

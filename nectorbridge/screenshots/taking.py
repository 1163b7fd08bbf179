"""Takes the pictures: an installation in a temporary place, a sandbox for its providers, and headless Chromium before it."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nectorbridge.sandbox import Sandbox
from nectorbridge.screenshots.shots import WIDTH, Shot
from nectorbridge.screenshots.world import ACCOUNTS
from nectorbridge.testing.installation import installation, wait_for
from nectorbridge.testing.parts import FLAGS, chromium, free_port, is_ready

PREPARE = "from nectorbridge.screenshots.world import prepare\nprint(json.dumps(prepare()))"
WAITING = "print(json.dumps(EventDelivery.objects.filter(status__in=['queued', 'retrying', 'sending']).count()))"
# Addresses with a secret part, and tokens in texts to copy, are blotted out before the picture is taken.
BLOT = r"""
() => {
    const hide = text => text.replace(/(callbacks\/\w+\/|webhooks\/\w+\/|\/t\/[co]\/)[\w-]{16,}/g, "$1••••••••");
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) walk.currentNode.nodeValue = hide(walk.currentNode.nodeValue);
    document.querySelectorAll("input, textarea").forEach(box => { box.value = hide(box.value); });
}
"""
SETTLE = 700  # milliseconds: charts are drawn


def take(shots: Sequence[Shot], folder: Path | None, say: Callable[[str], Any]) -> list[Path]:
    """Take these pictures into the folder, by default where docs keep them. Returns the files."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place, Sandbox.running(accounts=ACCOUNTS) as sandbox:
        password, port = secrets.token_urlsafe(16), free_port()
        given = {f"{slug.upper()}_BASE_URL": sandbox.url_of(slug) for slug in sandbox.providers}
        given |= {"ADMIN_PASSWORD": password, "PUBLIC_URL": "https://bridge.example.com"}
        with installation("sqlite", Path(place), **given) as outside:
            say("Preparing a week of activity ...")
            addresses: dict[str, str] = outside.ask(PREPARE)
            with outside.running("up", "--port", str(port)), sync_playwright() as driver:
                wait_for(lambda: is_ready(port), 90, "the installation")
                wait_for(lambda: outside.ask(WAITING) == 0, 180, "what a provider's limit held back")
                browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
                taken = _take(browser, f"http://127.0.0.1:{port}", password, shots, addresses, folder, say)
                browser.close()
                return taken


def _take(
    browser: Any,
    base: str,
    password: str,
    shots: Sequence[Shot],
    addresses: dict[str, str],
    folder: Path | None,
    say: Callable[[str], Any],
) -> list[Path]:
    """Log in as each who looks, and take what they see."""
    pages: dict[str, Any] = {}
    files = []
    for shot in shots:
        page = pages.get(shot.user) or _logged_in(browser, base, shot.user, password)
        pages[shot.user] = page
        page.set_viewport_size({"width": WIDTH, "height": shot.height})
        answer = page.goto(base + addresses[shot.name], wait_until="networkidle")
        if answer is None or not answer.ok:
            raise RuntimeError(f"{shot.name}: {addresses[shot.name]} answers {answer and answer.status}")
        page.wait_for_timeout(SETTLE)
        page.evaluate(BLOT)
        file = folder / shot.file.name if folder else shot.file
        page.screenshot(path=file)
        files.append(file)
        say(f"  {file.name}")
    return files


def _logged_in(browser: Any, base: str, user: str, password: str) -> Any:
    """Return a page on which this user is logged in."""
    page = browser.new_context(viewport={"width": WIDTH, "height": 900}, locale="en-IN", color_scheme="light").new_page()
    page.goto(f"{base}/admin/login/")
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(f"{base}/admin/")
    return page

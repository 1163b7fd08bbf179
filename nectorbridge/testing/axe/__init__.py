"""axe-core, run in a browser's page: what hinders people who use a keyboard, a screen reader or other colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("axe.min.js")
HINDERING = ("moderate", "serious", "critical")
RUN = """
async rules => {
    await document.fonts.ready;
    for (const motion of document.getAnimations()) { try { motion.finish(); } catch { motion.cancel(); } }
    const options = {resultTypes: ["violations"]};
    if (rules.length) options.runOnly = {type: "rule", values: rules};
    const found = await axe.run(document, options);
    return found.violations.map(({id, impact, help, nodes}) => ({
        id, impact, help, nodes: nodes.map(({target, html, any}) => ({
            target: target.join(" "), html: html.slice(0, 240), why: any.map(check => check.message).join(" ").slice(0, 240),
        })),
    }));
}
"""


def bring(page: Any) -> None:
    """Have every page that is loaded from now on know axe. The browser brings it in itself, so no policy stands in the way."""
    page.add_init_script(path=SOURCE)


def violations(page: Any, *rules: str) -> list[dict[str, Any]]:
    """Return what axe finds more than minor on the page as it is shown now; by these rules only, where some are named."""
    found: list[dict[str, Any]] = page.evaluate(RUN, list(rules))
    return [one for one in found if one["impact"] in HINDERING]

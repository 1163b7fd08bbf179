// What the theme does not tell a screen reader. Its searchable pickers (select2) tell their value only: give them their field's
// label, too. Its pages have no main part: say which it is. Headings of its side bar that fold know the mouse alone.
(() => {
    "use strict";

    const name = select => {
        const box = select.nextElementSibling && select.nextElementSibling.querySelector(".select2-selection");
        if (!box) return;
        const shown = box.querySelector("[role=textbox]");
        const label = select.labels && select.labels[0];
        for (const part of shown ? [box, shown] : [box]) {
            if (label) {
                label.id = label.id || `${select.id}_label`;
                const value = part === box && shown && shown.id ? ` ${shown.id}` : "";
                part.setAttribute("aria-labelledby", label.id + value);
            } else if (select.getAttribute("aria-label")) {
                part.removeAttribute("aria-labelledby");
                part.setAttribute("aria-label", select.getAttribute("aria-label"));
            }
        }
    };
    // Django's filters of choices put a help text on a mark that has no role; without one nobody hears it.
    const helpAll = () => document.querySelectorAll("span.help-tooltip[aria-label]:not([role])").forEach(mark => mark.setAttribute("role", "img"));
    const markMain = () => {
        const part = document.getElementById("main") || document.getElementById("page");
        if (part && !document.querySelector("main, [role=main]")) part.setAttribute("role", "main");
    };
    // Everything that scrolls would be a part of the page by itself, all of the same name: the parts around them are enough.
    const unmarkScrolling = () => document.querySelectorAll(".simplebar-content-wrapper[role=region]").forEach(part => {
        part.removeAttribute("role");
        part.removeAttribute("aria-label");
    });
    const makeFolding = () => document.querySelectorAll("#nav-sidebar-apps h2.cursor-pointer").forEach(heading => {
        const list = heading.nextElementSibling;
        const words = [...heading.childNodes].find(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!list || !words) return;
        const button = document.createElement("span");
        button.setAttribute("role", "button");
        button.tabIndex = 0;
        const tell = () => button.setAttribute("aria-expanded", String(list.style.display !== "none"));
        button.addEventListener("keydown", event => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            button.click();  // the theme listens at the heading
        });
        words.replaceWith(button);
        button.append(words);
        new MutationObserver(tell).observe(list, {attributes: true, attributeFilter: ["style"]});
        tell();
    });
    const nameAll = () => setTimeout(() => document.querySelectorAll("select.select2-hidden-accessible").forEach(name));

    for (const moment of ["formset:added", "htmx:load"]) document.addEventListener(moment, nameAll);
    window.addEventListener("load", () => { nameAll(); setTimeout(helpAll); setTimeout(unmarkScrolling); });
    document.addEventListener("DOMContentLoaded", () => { markMain(); makeFolding(); });
})();

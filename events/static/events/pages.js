// Small comforts of the pages around an event; all of them work without it.
function copied(button) {
    const before = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 1500);
}

// Select the text, so that a person can copy it where the browser does not let a page do so.
function select(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
}

document.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
        const source = button.previousElementSibling;
        try {
            await navigator.clipboard.writeText(source.textContent);
            copied(button);
        } catch {
            select(source);
            if (document.execCommand("copy")) {
                copied(button);
            }
        }
    });
});

document.querySelectorAll("form[data-again]").forEach((form) => {
    setTimeout(() => form.requestSubmit(), Number(form.dataset.again));
});

document.querySelectorAll("form[data-once]").forEach((form) => {
    form.addEventListener("submit", () => {
        form.querySelector("[data-busy]").classList.remove("hidden");
        setTimeout(() => { form.querySelector("button[type=submit]").disabled = true; }, 0);
    });
});

// Back from the browser's memory: the button must work again.
window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-once]").forEach((form) => {
        form.querySelector("button[type=submit]").disabled = false;
        form.querySelector("[data-busy]").classList.add("hidden");
    });
});

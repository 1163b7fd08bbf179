// Small comforts of the catalogue and the set-up page; both work without them.
document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submits]")) {
        event.target.form.submit();
    }
});

document.addEventListener("submit", (event) => {
    if (!event.submitter || !event.submitter.matches("[data-connects]")) {
        return;
    }
    event.submitter.parentElement.querySelector("[data-connecting]").classList.remove("hidden");
    // After the form has been read, so that the button's own name is sent along.
    setTimeout(() => { event.submitter.disabled = true; }, 0);
});

// Back from the browser's memory: the button must work again.
window.addEventListener("pageshow", () => {
    document.querySelectorAll("[data-connects]").forEach((button) => {
        button.disabled = false;
        button.parentElement.querySelector("[data-connecting]").classList.add("hidden");
    });
});

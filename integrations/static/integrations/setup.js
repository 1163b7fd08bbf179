// Small comforts of the catalogue and the set-up page; both work without them.
const WATCHED = "nb-check-watched"; // set from the click until what came of it was shown
const POLL_MILLISECONDS = 1000;

document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submits]")) {
        event.target.form.submit();
    }
});

document.addEventListener("submit", (event) => {
    if (!event.submitter || !event.submitter.matches("[data-connects], [data-checks]")) {
        return;
    }
    sessionStorage.setItem(WATCHED, location.pathname);
    const words = event.submitter.parentElement.querySelector("[data-connecting]");
    if (words) {
        words.classList.remove("hidden");
    }
    // After the form has been read, so that the button's own name is sent along.
    setTimeout(() => { event.submitter.disabled = true; }, 0);
});

// Back from the browser's memory: the button must work again.
window.addEventListener("pageshow", () => {
    document.querySelectorAll("[data-connects], [data-checks]").forEach((button) => {
        button.disabled = false;
        const words = button.parentElement.querySelector("[data-connecting]");
        if (words) {
            words.classList.add("hidden");
        }
    });
});

// Replaced only where it differs: it is a live region, which a screen reader reads out at each change.
function say(panel, selector, words) {
    const place = panel.querySelector(selector);
    if (place.textContent !== words) {
        place.textContent = words;
    }
}

async function watch(panel) {
    let answer;
    try {
        answer = await fetch(panel.dataset.progress, { headers: { Accept: "application/json" } });
    } catch {
        return false; // the network is away for a moment
    }
    if (answer.redirected || answer.status === 403 || answer.status === 404) {
        return true; // logged out, or no longer ours: the page itself says so
    }
    if (!answer.ok) {
        return false;
    }
    const progress = await answer.json();
    if (!progress.done) {
        say(panel, "[data-progress-words]", progress.words);
        say(panel, "[data-progress-elapsed]", progress.elapsed);
        panel.querySelector("[data-progress-late]").classList.toggle("hidden", !progress.late);
    }
    return progress.done;
}

document.addEventListener("DOMContentLoaded", () => {
    const panel = document.querySelector("[data-progress]");
    if (panel) {
        sessionStorage.setItem(WATCHED, location.pathname);
        const poll = async () => {
            if (await watch(panel)) {
                location.replace(location.pathname);
            } else {
                setTimeout(poll, POLL_MILLISECONDS);
            }
        };
        setTimeout(poll, POLL_MILLISECONDS / 2);
    } else if (sessionStorage.getItem(WATCHED) === location.pathname) {
        // What came of it is read out, and in sight.
        sessionStorage.removeItem(WATCHED);
        document.querySelector("[data-outcome]")?.focus();
    }
});

// Keeps the progress of bulk actions fresh; without it a page shows where they were when it was opened.
const LOOK_MILLISECONDS = 1000;

function show(panel, progress) {
    panel.querySelector("[data-run-bar]").value = progress.share;
    panel.querySelector("[data-run-label]").textContent = progress.label;
    panel.querySelector("[data-run-words]").textContent = progress.words;
    panel.querySelector("[data-run-parts]").textContent = progress.parts;
    panel.querySelector("[data-run-message]").textContent = `${progress.message} ${progress.waits}`;
}

function follow(panel) {
    const look = async () => {
        let answer;
        try {
            answer = await fetch(panel.dataset.run, { headers: { Accept: "application/json" } });
        } catch {
            setTimeout(look, LOOK_MILLISECONDS); // the network is away for a moment
            return;
        }
        if (!answer.ok || answer.redirected) {
            return; // logged out, or no longer ours: the page itself says so
        }
        const progress = await answer.json();
        show(panel, progress);
        if (progress.over) {
            location.reload();
            return;
        }
        setTimeout(look, LOOK_MILLISECONDS);
    };
    setTimeout(look, LOOK_MILLISECONDS);
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-run]").forEach(follow));

// Shows how far a push of all customers is; without it the page shows where it was when it was opened.
const LOOK_MILLISECONDS = 1500;

document.addEventListener("DOMContentLoaded", () => {
    const panel = document.querySelector("[data-sync]");
    if (!panel) {
        return;
    }
    const look = async () => {
        let answer;
        try {
            answer = await fetch(panel.dataset.sync, { headers: { Accept: "application/json" } });
        } catch {
            setTimeout(look, LOOK_MILLISECONDS); // the network is away for a moment
            return;
        }
        if (!answer.ok || answer.redirected) {
            return; // logged out, or no longer ours: the page itself says so
        }
        const progress = await answer.json();
        if (progress.over) {
            location.reload();
            return;
        }
        panel.querySelector("[data-sync-bar]").value = progress.share;
        panel.querySelector("[data-sync-words]").textContent = progress.words;
        panel.querySelector("[data-sync-parts]").textContent = progress.parts;
        panel.querySelector("[data-sync-message]").textContent = `${progress.message} ${progress.waits}`;
        setTimeout(look, LOOK_MILLISECONDS);
    };
    setTimeout(look, LOOK_MILLISECONDS);
});

// While an event is filled in: how its name leaves, and what would be sent. The server checks again when it is saved.
(() => {
    const asked = document.querySelector("[data-check]");
    const name = document.querySelector("input[name=name]");
    if (!asked || !name) {
        return;
    }
    // The picker finds a trigger by any of its words, those of its group included, in any order.
    const jQuery = window.django && window.django.jQuery;
    if (jQuery && jQuery.fn.select2) {
        jQuery.fn.select2.defaults.set("matcher", (params, data) => {
            const words = (params.term || "").toLowerCase().split(/\s+/).filter(Boolean);
            const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
            if (!data.children) {
                return fits(`${data.text} ${data.id}`) ? data : null;
            }
            const children = data.children.filter((child) => fits(`${data.text} ${child.text} ${child.id}`));
            return children.length ? { ...data, children } : null;
        });
    }

    const field = (key) => document.querySelector(`select[name=${key}]`);
    const value = (key) => (field(key) ? field(key).value : asked.dataset[key]);
    const sketch = document.getElementById("nb-sketch");
    const hint = document.createElement("p");
    hint.className = "nb-hint";
    hint.id = "nb-name-hint";
    hint.setAttribute("role", "status");
    name.after(hint);
    name.setAttribute("aria-describedby", [name.getAttribute("aria-describedby"), hint.id].filter(Boolean).join(" "));
    let turn = 0;

    function question() {
        return new URLSearchParams({ integration: value("integration"), trigger: value("trigger"), name: name.value });
    }

    function show(answer) {
        hint.classList.toggle("nb-hint-wrong", Boolean(answer.error));
        name.setAttribute("aria-invalid", answer.error ? "true" : "false");
        if (answer.default) {
            name.placeholder = answer.default;
        }
        const words = name.value.trim() ? asked.dataset.leaves : asked.dataset.usual;
        hint.textContent = answer.error || (answer.leaves_as ? `${words}: ${answer.leaves_as}` : "");
    }

    async function ask() {
        const mine = ++turn;
        try {
            const answer = await fetch(`${asked.dataset.check}?${question()}`, { headers: { Accept: "application/json" } });
            if (answer.ok && mine === turn) {
                show(await answer.json());
            }
            if (!sketch) {
                return;
            }
            const drawn = await fetch(`${asked.dataset.sketch}?${question()}`);
            if (drawn.ok && !drawn.redirected && mine === turn) {
                sketch.innerHTML = await drawn.text();
            }
        } catch {
            // Offline for a moment: the name is checked when the event is saved.
        }
    }

    // Settings that only some triggers have are there once such a trigger is chosen.
    const settings = JSON.parse(asked.dataset.settings || "{}");
    const rows = [...new Set(Object.values(settings).flat())].map((key) => [key, rowOf(key)]);

    function rowOf(key) {
        const input = document.querySelector(`[name=${key}]`);
        return input ? input.closest(".form-row") || input.closest(".field-line") || input.parentElement : null;
    }

    function reveal() {
        const wanted = settings[value("trigger")] || [];
        for (const [key, row] of rows) {
            if (row) {
                row.hidden = !wanted.includes(key);
                row.style.display = row.hidden ? "none" : "";
            }
        }
    }

    let waiting;
    function soon() {
        reveal();
        clearTimeout(waiting);
        waiting = setTimeout(ask, 300);
    }

    name.addEventListener("input", soon);
    for (const key of ["integration", "trigger"]) {
        if (field(key)) {
            field(key).addEventListener("change", soon);
            if (jQuery) {
                jQuery(field(key)).on("change", soon); // select2 tells jQuery alone
            }
        }
    }
    soon();
})();

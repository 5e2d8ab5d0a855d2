// Refreshes the page in place and filters as one types. Without it the page
// still works: it reloads by itself, and the box submits.
"use strict";
const box = document.querySelector("input[type=search]");
const main = document.querySelector("main");
const interval = Number(main.dataset.refresh) * 1000;
const toggled = new Map(); // what the reader opened or closed, by connector
let running = null;

document.addEventListener("toggle", (event) => {
  const key = event.target.dataset && event.target.dataset.key;
  if (key && event.target.dataset.was !== String(event.target.open)) toggled.set(key, event.target.open);
}, true);

async function refresh(anew) {
  if (running) running.abort();
  const request = running = new AbortController();
  const address = new URL(location.href);
  if (anew) address.searchParams.delete("page"); // Another filter finds other pages.
  if (box.value) address.searchParams.set("filter", box.value);
  else address.searchParams.delete("filter");
  try {
    const answer = await fetch(address, {signal: request.signal, headers: {Accept: "text/html"}});
    const page = await answer.text();
    // Only main, because the rest has styles of another nonce than this page's.
    const part = page.slice(page.indexOf("<main"), page.lastIndexOf("</main>"));
    const next = new DOMParser().parseFromString(part, "text/html").querySelector("main");
    if (!next || !answer.ok) throw new Error(answer.statusText);
    for (const details of next.querySelectorAll("details[data-key]")) {
      if (toggled.has(details.dataset.key)) details.open = toggled.get(details.dataset.key);
      details.dataset.was = details.open;
    }
    main.replaceChildren(...next.childNodes);
    main.classList.remove("old");
    history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") main.classList.add("old");
  }
  if (running === request) running = null;
}

for (const details of document.querySelectorAll("details[data-key]")) details.dataset.was = details.open;
let typing;
box.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(refresh, 150, true); });
box.form.addEventListener("submit", (event) => { event.preventDefault(); refresh(true); });
setInterval(() => { if (!document.hidden) refresh(); }, interval);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

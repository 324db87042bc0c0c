// What every page of the dashboard does with JavaScript: live parts, copy buttons, confirmations.
// Without JavaScript the pages still show everything, and their forms work.

/** Replace the live part of the page by the one that the server sends. */
function follow(region) {
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(location.href);
    source.onmessage = (event) => replace(region, event.data);
    source.addEventListener("ended", () => { source.close(); });
  };
  const close = () => { source?.close(); source = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  open();
}

/** Show new HTML in the region, and keep what the reader has opened or is typing. */
function replace(region, html) {
  const selection = getSelection();
  const isReading = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  const isTyping = region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  if (isReading || isTyping) return;
  const opened = [...region.querySelectorAll("details[open][id]")].map((each) => each.id);
  const focused = document.activeElement?.id;
  region.innerHTML = html; // made by the server's templates, which escape all values
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus();
  prepare(region);
}

/** Show a short message in the corner for some seconds. */
export function notify(text) {
  let list = document.querySelector(".toasts");
  if (!list) {
    list = document.createElement("div");
    list.className = "toasts";
    list.setAttribute("role", "status");
    document.body.append(list);
  }
  const toast = document.createElement("div");
  toast.textContent = text;
  list.append(toast);
  setTimeout(() => toast.remove(), 3000);
}

/** Make the buttons of a part work that need JavaScript. */
export function prepare(part) {
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  notify("Copied");
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

prepare(document);
const live = document.querySelector("[data-live]");
if (live) follow(live);

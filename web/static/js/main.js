// What makes pages better where JavaScript runs. Everything here has a way without it.

// The key / leads to the search field.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.getElementById("q");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
});

// Forms that filter leave out what is empty, so that addresses stay short, and are sent when
// a choice is made.
for (const form of document.querySelectorAll("form:not([method=post])")) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
}
for (const form of document.querySelectorAll("form[data-auto=change]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}
document.querySelector("form[data-auto=load]")?.requestSubmit();

document.addEventListener("click", (event) => {
  const question = event.target.closest("[data-confirm]");
  if (question && !confirm(question.dataset.confirm)) event.preventDefault();
});

for (const button of document.querySelectorAll(".copy")) {
  const label = button.querySelector("span");
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = "Copy"; }, 2000);
  });
}

// A page that takes long to come shows that it is on its way.
let waiting;
const onTheWay = (event) => {
  const link = event.target.closest?.("a[href]");
  if (event.type === "click" && (!link || link.download || link.hasAttribute("download") || link.origin !== location.origin || link.hash || event.ctrlKey || event.metaKey || event.shiftKey)) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => document.documentElement.classList.add("busy"), 400);
};
document.addEventListener("click", onTheWay);
document.addEventListener("submit", onTheWay);
addEventListener("pageshow", () => {
  clearTimeout(waiting);
  document.documentElement.classList.remove("busy");
});

if (document.querySelector("main[data-stream]")) import("./live.js");
if (document.getElementById("verifier")) import("./ledger/page.js");

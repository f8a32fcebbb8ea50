// Tables that sort and filter, tips at the marks of plots, details that open for links and for paper.
// Everything is in the page without this script; it makes no request, and keeps nothing.
"use strict";

const collator = new Intl.Collator("en", { numeric: true });

function sortable(table) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const first = header.classList.contains("number") ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const direction = header.getAttribute("aria-sort") === first ? other : first;
      headers.forEach((one) => one.setAttribute("aria-sort", "none"));
      header.setAttribute("aria-sort", direction);
      body.append(...sorted([...body.rows], column, direction === "ascending" ? 1 : -1));
    });
  });
}

// What has no value comes last, in whichever direction.
function sorted(rows, column, sign) {
  const value = (row) => row.cells[column].dataset.value;
  return rows.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === undefined && b === undefined) {
      return sign * collator.compare(one.cells[column].textContent, other.cells[column].textContent);
    }
    if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
    return sign * (Number(a) - Number(b));
  });
}

function filterable(place, table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 2) return;
  const input = document.createElement("input");
  input.type = "search";
  input.id = `${table.id}-filter`;
  input.autocomplete = "off";
  const label = document.createElement("label");
  label.htmlFor = input.id;
  label.textContent = `Filter “${table.caption.textContent}”`;
  const count = document.createElement("output");
  count.setAttribute("for", input.id);
  count.setAttribute("aria-live", "polite");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  input.addEventListener("input", show);
  const bar = document.createElement("div");
  bar.className = "filter";
  bar.append(label, input, count);
  place.prepend(bar);
  show();
}

function tips() {
  const tip = document.getElementById("tip");
  let mark = null;
  const hide = () => {
    mark?.removeAttribute("aria-describedby");
    mark = null;
    tip.hidden = true;
  };
  const show = (target) => {
    if (target === mark) return;
    hide();
    mark = target;
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    mark.setAttribute("aria-describedby", "tip");
    const at = mark.getBoundingClientRect();
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const above = at.top - tip.offsetHeight - 6;
    tip.style.left = `${window.scrollX + Math.max(8, Math.min(at.left + at.width / 2 - tip.offsetWidth / 2, room))}px`;
    tip.style.top = `${window.scrollY + (above > 0 ? above : at.bottom + 6)}px`;
  };
  const marked = (event) => (event.target instanceof Element ? event.target.closest(".tip") : null);
  for (const element of document.querySelectorAll(".tip")) {
    element.setAttribute("aria-label", element.dataset.tip);
    element.querySelector("title")?.remove(); // else the browser would show a second tip
  }
  document.addEventListener("mouseover", (event) => {
    const target = marked(event);
    if (target) show(target);
    else if (mark && !tip.contains(event.target) && mark !== document.activeElement) hide();
  });
  document.addEventListener("focusin", (event) => {
    const target = marked(event);
    if (target) show(target);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
}

// A link to a result opens it, and whatever it is in.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  target.scrollIntoView();
}

function openForPaper() {
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
}

for (const place of document.querySelectorAll(".table")) {
  const table = place.querySelector("table");
  if ("sort" in place.dataset) sortable(table);
  if ("filter" in place.dataset) filterable(place, table);
}
tips();
openForPaper();
window.addEventListener("hashchange", openTarget);
openTarget();

// The page's only script, as text: sorting, filtering, folding. The page is complete without it.
//
// Its SHA-256 stands in the page's content policy, so it must be written into the page exactly as it is here.

export const SCRIPT = `(() => {
  "use strict";
  const number = (cell) => {
    const text = cell.textContent.trim().replace(/,/g, "").replace(/\\u2212/g, "-");
    const value = parseFloat(text);
    return /^[-+]?[\\d.]/.test(text) && !Number.isNaN(value) ? value : null;
  };
  const make = (name, properties) => Object.assign(document.createElement(name), properties);

  for (const table of document.querySelectorAll("table[data-enhance]")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort", title: "sort by this column" });
      button.append(make("span", { textContent: "↕", ariaHidden: "true" }));
      button.setAttribute("aria-label", "sort by " + head.textContent.trim());
      head.append(button);
      button.addEventListener("click", () => {
        const upwards = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
        const key = (row) => {
          const cell = row.cells[column];
          return number(cell) ?? cell.textContent.trim().toLowerCase();
        };
        const compare = (a, b) => {
          if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
          return typeof a === "number" ? -1 : 1;
        };
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort((a, b) => compare(a[0], b[0]) * (upwards ? 1 : -1));
        body.append(...rows.map((pair) => pair[1]));
      });
    });
    if (body.rows.length > 8) {
      const label = make("label", { className: "filter", textContent: "Filter rows " });
      const input = make("input", { type: "search" });
      const count = make("output");
      label.append(input, " ", count);
      (table.caption ?? table.createCaption()).append(label);
      input.addEventListener("input", () => {
        const wanted = input.value.trim().toLowerCase();
        let shown = 0;
        for (const row of body.rows) {
          row.hidden = !row.textContent.toLowerCase().includes(wanted);
          if (!row.hidden) shown += 1;
        }
        count.textContent = wanted === "" ? "" : shown + " of " + body.rows.length;
      });
    }
  }

  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details");
    if (folded && !folded.open) {
      folded.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();

  for (const mark of document.querySelectorAll("[data-card]")) {
    if (!document.getElementById(mark.dataset.card)) continue;
    mark.classList.add("linked");
    mark.addEventListener("click", () => { location.hash = mark.dataset.card; });
  }
})();`;

"use strict";
// Tables sort by the column whose head is clicked: numbers by size, the rest by the alphabet.
const key = (row, column) => {
  const text = row.children[column].innerText.trim();
  const number = Number.parseFloat(text.replace("\u2212", "-"));
  return Number.isNaN(number) ? text : number;
};
const order = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
for (const head of document.querySelectorAll("table:not(.confusion) > thead > tr > *")) {
  const table = head.closest("table");
  const sort = () => {
    const rising = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const column = head.cellIndex;
    const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a, column), key(b, column)) * (rising ? 1 : -1));
    table.tBodies[0].append(...rows);
  };
  head.setAttribute("aria-sort", "none");
  head.tabIndex = 0;
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => {
    if (event.key === "Enter") sort();
  });
}

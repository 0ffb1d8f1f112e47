// ---- the table under the plot

const FIRST = 100;  // rows before "show all": two thousand rows take a moment to lay out
let whole = false;

const columns = () => [
  { key: "name", title: "model", text: true },
  { key: "kind", title: "source", text: true },
  { key: "cost", title: cost().metric + unit(cost()) },
  { key: "quality", title: quality().metric + unit(quality()) },
  { key: null, title: "interval", text: true },
  { key: "verdict", title: "verdict", text: true },
  ...(limitKey() in data.limits ? [{ key: "below", title: "below the limit" }] : []),
];
const unit = (axis) => (axis.unit === "1" || !axis.unit || axis.metric.endsWith(axis.unit) ? "" : ` (${axis.unit})`);
const limitKey = () => `${state.quality},${state.cost}`;
const below = (point) => point.model.below[limitKey()] ?? null;

const RANK = { [BEST]: 0, [OPEN]: 1, [LOST]: 2 };
const KEYS = {
  name: (p) => p.model.name.toLowerCase(), kind: (p) => p.model.kind, cost: (p) => p.c[0], quality: (p) => p.q[0],
  verdict: (p) => RANK[p.verdict], below: (p) => below(p)?.[0] ?? Infinity,
};
function sorted(points) {
  const key = KEYS[state.sort], way = state.falling ? -1 : 1;
  return [...points].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return (x < y ? -way : x > y ? way : 0) || a.c[0] - b.c[0] || a.id - b.id;
  });
}

function drawHead() {
  const row = element("tr");
  for (const { key, title, text } of columns()) {
    const cell = element("th", undefined, text ? "t" : "n");
    cell.scope = "col";
    if (key) {
      const button = element("button", title + (state.sort === key ? (state.falling ? " \u25be" : " \u25b4") : ""));
      button.type = "button";
      button.dataset.sort = key;
      cell.append(button);
      if (state.sort === key) cell.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
    } else cell.append(element("span", title));
    row.append(cell);
  }
  const focused = document.activeElement?.dataset?.sort;
  byId("table").tHead.replaceChildren(row);
  if (focused) row.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
}
function rowOf(point) {
  const row = element("tr"), head = element("th"), button = element("button", point.model.name);
  head.scope = "row";
  button.type = "button";
  button.dataset.point = point.id;
  button.tabIndex = -1;
  head.append(glyph(point.model.family, point.model.kind === "published"), button);
  row.append(head, element("td", kindWord(point.model.kind), "t"), element("td", number(point.c[0]), "n"));
  row.append(element("td", number(point.q[0]), "n"), element("td", interval(point.q[1], point.q[2]), "t i"));
  row.append(element("td", point.verdict, "t"));
  if (limitKey() in data.limits) row.append(element("td", number(below(point)?.[0] ?? null, 3), "n"));
  return row;
}
function drawTable(points) {
  drawHead();
  const every = sorted(points), some = whole ? every : every.slice(0, FIRST);
  const body = byId("table").tBodies[0];
  const focused = document.activeElement?.dataset?.point;
  body.replaceChildren(...some.map(rowOf));
  byId("more").hidden = some.length === every.length;
  byId("more").textContent = `Show all ${every.length.toLocaleString("en")} points`;
  markRow();
  if (focused !== undefined) body.querySelector(`[data-point="${CSS.escape(focused)}"]`)?.focus();
}
// One model of the table can be reached by Tab: the chosen one, else the first.
function markRow() {
  const buttons = [...byId("table").tBodies[0].querySelectorAll("button")];
  for (const button of buttons) {
    const here = Number(button.dataset.point) === state.point;
    button.closest("tr").classList.toggle("chosen", here);
    button.setAttribute("aria-pressed", String(here));
    button.tabIndex = here ? 0 : -1;
  }
  if (buttons.length && !buttons.some((button) => button.tabIndex === 0)) buttons[0].tabIndex = 0;
}

byId("table").tHead.addEventListener("click", ({ target }) => {
  const key = target.closest("button")?.dataset.sort;
  if (!key) return;
  state.falling = state.sort === key && !state.falling;
  state.sort = key;
  drawTable(now.points);
  writeLink();
  say(`sorted by ${columns().find((column) => column.key === key).title}, ${state.falling ? "falling" : "rising"}`);
});
byId("table").tBodies[0].addEventListener("click", ({ target }) => {
  const id = target.closest("tr")?.querySelector("button")?.dataset.point;
  if (id !== undefined) choose(Number(id));
});
byId("table").tBodies[0].addEventListener("keydown", (event) => {
  const buttons = [...event.currentTarget.querySelectorAll("button")], at = buttons.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (at < 0 || to === undefined || !buttons[to]) return;
  event.preventDefault();
  buttons[to].focus();
});
byId("more").addEventListener("click", () => {
  const next = FIRST;
  whole = true;
  drawTable(now.points);
  byId("table").tBodies[0].rows[next]?.querySelector("button").focus();
});

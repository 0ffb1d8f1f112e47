// ---- controls, the chosen point, and what is said about them

let now = { points: [], lines: curves([]) };

function say(text) {
  byId("live").textContent = text;
}
function option(text, value) {
  const node = element("option", text);
  node.value = value;
  return node;
}
// Costs that some visible-or-hidden model has beside the chosen quality; the others would give an empty plot.
function fillMenus() {
  const groups = new Map();
  data.axes.quality.forEach((axis, k) => {
    const name = axis.metric + unit(axis);
    if (!groups.has(name)) groups.set(name, element("optgroup"));
    groups.get(name).label = shown(name);
    groups.get(name).append(option(axis.label, k));
  });
  byId("quality").replaceChildren(...groups.values());
  fillCosts();
}
function fillCosts() {
  const counts = data.axes.cost.map((_, c) => data.models.filter((m) => m.q[state.quality] && m.c[c]).length);
  byId("cost").replaceChildren(...data.axes.cost.flatMap((axis, k) => (counts[k] ? [option(axis.label, k)] : [])));
  if (!counts[state.cost]) state.cost = counts.indexOf(Math.max(...counts));
}

function fillFilters() {
  const titles = { family: "architecture", scale: "scale", kind: "source" };
  byId("filters").replaceChildren(...FILTERS.map((name) => {
    const set = element("fieldset");
    set.dataset.filter = name;
    set.append(element("legend", titles[name]));
    for (const value of values[name]) {
      const label = element("label"), box = element("input");
      box.type = "checkbox";
      box.value = value;
      label.append(box);
      if (name === "family") label.append(glyph(value, false));
      if (name === "kind") label.append(glyph("attention", value === "published"));
      label.append(shown(name === "kind" ? kindWord(value) : value || "not stated"));
      set.append(label);
    }
    return set;
  }));
}
// Boxes as they are chosen; grey where nothing of that kind has both numbers, gone where there is no choice.
function markFilters() {
  for (const set of byId("filters").children) {
    const name = set.dataset.filter;
    const here = new Set(data.models.filter((m) => m.q[state.quality] && m.c[state.cost]).map((m) => m[name]));
    for (const box of set.querySelectorAll("input")) {
      box.checked = !state.hidden[name].has(box.value);
      box.closest("label").hidden = !here.has(box.value);
    }
    set.hidden = here.size < 2 && ![...here].some((value) => state.hidden[name].has(value)) && name === "scale";
  }
}

function fact(list, name, text, wide) {
  if (text === null || text === undefined || text === "") return;
  list.push(element("dt", name, wide ? "wide-row" : ""), element("dd", text, wide ? "wide-row" : ""));
}
function drawAbout() {
  const point = now.points.find((one) => one.id === state.point), list = [];
  byId("chosen").textContent = point ? shown(point.model.name) : "none chosen: click one, or choose it in the table";
  if (point) {
    fact(list, quality().metric, `${number(point.q[0])} ${interval(point.q[1], point.q[2])}`);
    fact(list, cost().metric, `${number(point.c[0])} ${interval(point.c[1], point.c[2])}`);
    fact(list, "verdict", point.verdict);
    const price = priceAt(now.lines, point), limit = below(point);
    const bounds = price && `[${number(price[1], 3)}, ${price[2] === null ? "no bound" : number(price[2], 3)}]`;
    if (price) fact(list, "one more point", `cost \u00d7 ${number(price[0])} ${bounds}`);
    if (limit) fact(list, "below the limit", `${number(limit[0], 3)}; ${limit[1] === null ? "no bit is needed" : `${number(limit[1])} \u00d7 the bits needed`}`);
    fact(list, "architecture", point.model.family);
    for (const [name, text] of Object.entries(point.model.setting)) if (name !== "mixer") fact(list, name.replace(/_/g, " "), text);
    const origins = [...new Set([point.q[3], point.c[3]])];
    origins.forEach((at, k) => {
      const [kind, source, trust, flag, origin] = data.origins[at];
      const of = origins.length > 1 ? (k ? " of the cost" : " of the quality") : "";
      fact(list, `source${of}`, source ?? "not stated", true);
      fact(list, "kind", kindWord(kind));
      fact(list, "trust", trust);
      fact(list, "flag", flag, true);
      fact(list, "made", origin, true);
    });
  }
  byId("about").replaceChildren(...list);
}
function drawReadings() {
  const reading = (x, found) => (found[0] === null ? null : `${number(found[0])} ${bounded(found)}`);
  const bounded = ([value, low, high]) => (low === value && high === value ? "" : `[${number(low)}, ${number(high)}]`);
  const buys = state.budget && reading(state.budget, qualityAt(now.lines, state.budget));
  byId("buys").textContent = !state.budget ? `${cost().metric}: what it buys along the frontier`
    : buys ? `${cost().metric} buys ${quality().metric} ${buys}` : "buys nothing here";
  const costs = state.target !== null && reading(state.target, costAt(now.lines, state.target));
  byId("costs").textContent = state.target === null ? `${quality().metric}: what it costs along the frontier`
    : costs ? `${quality().metric} costs ${cost().metric} ${costs}` : "is more than anything here reaches";
}
function words() {
  const count = (word) => now.points.filter((point) => point.verdict === word).length;
  const some = (n, word) => `${n.toLocaleString("en")} ${word}`;
  if (!now.points.length) return "No point: no model that is shown has both numbers.";
  return `${some(now.points.length, now.points.length === 1 ? "point" : "points")}: ${some(count(BEST), BEST)}, ${some(count(OPEN), OPEN)}, ${some(count(LOST), LOST)}.`;
}

function draw(quiet) {
  fillCosts();
  const points = visible();
  now = { points, lines: curves(points) };
  if (!points.some((point) => point.id === state.point)) state.point = -1;
  byId("heading").textContent = shown(`${quality().metric} against ${cost().metric}`);
  const test = [quality().setting, cost().setting].filter(Boolean).join("; ");
  byId("summary").textContent = shown(`${test ? `${test}. ` : ""}${words()} More ${quality().metric} is ${quality().better === "higher" ? "better" : "worse"}, less ${cost().metric} is ${cost().better === "lower" ? "better" : "worse"}.`);
  place.setAttribute("aria-label", `${shown(quality().label)} against ${shown(cost().label)}. ${words()} The numbers are in the table.`);
  byId("key").textContent = `Hollow: published. Filled: own. Large: on the frontier; pale: dominated.${limitKey() in data.limits ? " Dotted: information limit." : ""} Solid: through the Pareto set. Whiskers: intervals.`;
  [byId("quality").value, byId("cost").value, byId("log").checked] = [state.quality, state.cost, state.log];
  for (const name of ["name", "budget", "target"]) {
    const text = state[name] ?? "";
    if (document.activeElement !== byId(name)) byId(name).value = text;
  }
  markFilters();
  drawAbout();
  drawReadings();
  drawTable(points);
  drawPlot();
  writeLink();
  if (!quiet) say(words());
}
function choose(id) {
  state.point = id === state.point ? -1 : id;
  markRow();
  drawAbout();
  drawPlot();
  writeLink();
  const point = now.points.find((one) => one.id === state.point);
  if (point) say(`${shown(point.model.name)}: ${quality().metric} ${number(point.q[0])}, ${cost().metric} ${number(point.c[0])}, ${point.verdict}`);
}

for (const name of ["quality", "cost"]) {
  byId(name).addEventListener("change", ({ target }) => {
    Object.assign(state, { [name]: Number(target.value), budget: name === "cost" ? null : state.budget, target: name === "quality" ? null : state.target });
    draw();
  });
}
byId("log").addEventListener("change", ({ target }) => { state.log = target.checked; draw(); });
byId("name").addEventListener("input", ({ target }) => { state.name = target.value; draw(); });
for (const name of ["budget", "target"]) {
  byId(name).addEventListener("input", ({ target }) => {
    state[name] = finite(target.value, (x) => name === "target" || x > 0);
    drawReadings();
    drawPlot();
    writeLink();
  });
}
byId("filters").addEventListener("change", ({ target }) => {
  const hidden = state.hidden[target.closest("fieldset").dataset.filter];
  if (target.checked) hidden.delete(target.value);
  else hidden.add(target.value);
  draw();
});
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("reset").addEventListener("click", () => {
  const { quality: q, cost: c } = state;
  state = { ...fresh(), quality: q, cost: c };
  draw();
});
// The fragment is the state; the link that skips to the table must not replace it.
byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("all").focus(); byId("all").scrollIntoView(); });
addEventListener("hashchange", () => { state = readLink(location.hash); written = null; draw(); });
document.addEventListener("theme", drawPlot);
document.addEventListener("plotly", drawPlot);

state = readLink(location.hash);
fillMenus();
fillFilters();
draw(true);

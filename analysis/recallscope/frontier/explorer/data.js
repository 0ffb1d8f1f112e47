// What the page was given, and what is chosen. data.js, readings.js, link.js, table.js, plot.js and controls.js are joined
// into one function by the page, in this order, and share its names. Text of rows reaches the page through textContent
// only, or escaped where plotly reads markup.

const data = JSON.parse(document.getElementById("data-json").textContent);
const byId = (id) => document.getElementById(id);
const MINUS = "\u2212";
const SORTS = ["name", "kind", "cost", "quality", "verdict", "below"];
const FILTERS = ["family", "scale", "kind"];
const BEST = "on the frontier", OPEN = "undecided", LOST = "dominated";

const labels = (axes) => new Map(axes.map((axis, k) => [axis.label, k]).reverse());  // of equal labels the first
const axisOf = { quality: labels(data.axes.quality), cost: labels(data.axes.cost) };

// Values that a filter can hide, in the order of the page: families as everywhere, the rest by name.
const values = {
  family: Object.keys(data.families).filter((name) => data.models.some((model) => model.family === name)),
  scale: distinct("scale").sort((a, b) => sizeOf(a) - sizeOf(b) || a.localeCompare(b)),
  kind: distinct("kind").sort().reverse(),
};
function distinct(name) {
  return [...new Set(data.models.map((model) => model[name]))];
}
// 360M and 1.3B as numbers, so that sizes stand in order; what is no size comes last.
function sizeOf(text) {
  const found = /^([0-9.]+)\s*([KMBT])/i.exec(text);
  return found ? Number(found[1]) * 1000 ** "KMBT".indexOf(found[2].toUpperCase()) : Infinity;
}

function fresh() {
  return {
    quality: axisOf.quality.get(data.start.quality) ?? 0,
    cost: axisOf.cost.get(data.start.cost) ?? 0,
    hidden: { family: new Set(), scale: new Set(), kind: new Set() },
    name: "", log: true, sort: "cost", falling: false, budget: null, target: null, point: -1,
  };
}
let state = fresh();
const quality = () => data.axes.quality[state.quality];
const cost = () => data.axes.cost[state.cost];

// ---- numbers and words

function number(x, digits = 4) {
  if (x === null || x === undefined) return "\u2013";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 10 ** (digits - 1) && size < 1e15
    ? Math.round(x).toLocaleString("en")
    : String(Number(x.toPrecision(digits)));
  return text.replace("-", MINUS);
}
const interval = (low, high) => (low === null || high === null ? "" : `[${number(low)}, ${number(high)}]`);
const kindWord = (kind) => (kind === "published" ? "published" : kind === "measured" ? "own, measured" : "own, derived");
// Plotly reads a small HTML: markup in names is shown, not obeyed. Long sources are broken at blanks.
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
function wrapped(text, width = 64) {
  const lines = [""];
  for (const word of shown(text).split(/\s+/)) {
    if (lines[lines.length - 1].length + word.length > width) lines.push("");
    lines[lines.length - 1] += (lines[lines.length - 1] ? " " : "") + word.slice(0, 200);
  }
  return lines.filter(Boolean).map(escaped).join("<br>");
}
// Control characters and bidirectional overrides are shown, not obeyed: they could rearrange the text around them.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const shown = (text) => String(text).replace(HIDDEN, (c) => `\u27e8${c.charCodeAt(0).toString(16).padStart(4, "0")}\u27e9`);

function element(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = shown(text);
  if (name) node.className = name;
  return node;
}

// ---- markers, as plotly draws them

const GLYPHS = {
  circle: "M7 1.5a5.5 5.5 0 1 0 .01 0Z", square: "M2 2H12V12H2Z", diamond: "M7 0.5L13.5 7L7 13.5L0.5 7Z",
  "triangle-up": "M7 1.5L13 12H1Z", "triangle-down": "M7 12.5L13 2H1Z", "triangle-left": "M1.5 7L12 1V13Z",
  star: "M7 0.5L8.7 5.1L13.6 5.3L9.7 8.3L11.1 13L7 10.3L2.9 13L4.3 8.3L0.4 5.3L5.3 5.1Z",
  x: "M3.6 1L7 4.4L10.4 1L13 3.6L9.6 7L13 10.4L10.4 13L7 9.6L3.6 13L1 10.4L4.4 7L1 3.6Z",
  hexagon: "M7 0.8L12.6 4V10L7 13.2L1.4 10V4Z", pentagon: "M7 0.8L13.2 5.5L10.8 13H3.2L0.8 5.5Z",
};
function glyph(family, hollow) {
  const [color, symbol] = Object.hasOwn(data.families, family) ? data.families[family] : ["currentColor", "circle"];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", GLYPHS[symbol] ?? GLYPHS.circle);
  path.setAttribute("fill", hollow ? "none" : color);
  path.setAttribute("stroke", color);
  path.setAttribute("stroke-width", hollow ? "1.5" : "0.5");
  svg.setAttribute("viewBox", "0 0 14 14");
  svg.setAttribute("class", "glyph");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

// The text, token by token. text.js, blocks.js, current.js and controls.js are joined into one function by the page, in
// this order, and share its names. Text from the corpus reaches the page through textContent only.

const { scale, models, slices, documents } = JSON.parse(document.getElementById("tokens-json").textContent);
if (!documents.length) return;
const LEVELS = [0.1, 0.3, 1, 3];  // nats; fixed, so that a tint means the same in every report
const MINUS = "\u2212";
const byId = (id) => document.getElementById(id);
const [scroller, frame, overlay] = [byId("scroller"), byId("frame"), byId("overlay")];
const [modelMenu, documentMenu, sliceMenu] = [byId("model"), byId("document"), byId("slice")];
const ngram = JSON.parse(byId("report-json").textContent).settings.ngram || 2;
const reference = 0;  // the first model; the others are compared to it

const state = { document: 0, model: 1, slice: -1, version: 0, blocks: [], starts: [], current: -1, pinned: -1, rank: -1 };
const doc = () => documents[state.document];

// ---- numbers and words

function difference(d, i, model = state.model) {
  const [a, b] = [documents[d].losses[reference][i], documents[d].losses[model][i]];
  return a === null || b === null ? null : (b - a) / scale;
}
const nats = (x) => (x === null ? "\u2013" : x.toFixed(3).replace("-", MINUS));
const signed = (x) => (x === null ? "\u2013" : (x > 0 ? "+" : "") + nats(x));
const whole = (x) => x.toLocaleString("en");
const loss = (m, i) => { const x = doc().losses[m][i]; return x === null ? null : x / scale; };

// Control characters and bidirectional overrides are shown, not obeyed: they could rearrange the text around them.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
function shown(text) {
  return text.replace(HIDDEN, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : `\u27e8${code.toString(16).padStart(4, "0")}\u27e9`;
  });
}
const visible = (text) => shown(text).replace(/ /g, "\u2423").replace(/\n/g, "\u21b5").replace(/\t/g, "\u2192") || "(empty)";

function tint(i) {
  const x = difference(state.document, i);
  if (x === null) return "";
  const level = LEVELS.filter((edge) => Math.abs(x) >= edge).length;
  return level ? (x > 0 ? "w" : "b") + level : "";
}
const chosen = (d, i) => state.slice < 0 || documents[d].slice[i] === state.slice;
const classes = (i) => (chosen(state.document, i) ? `t ${tint(i)}` : "t out");

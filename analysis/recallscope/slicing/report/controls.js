// ---- ranking: the scored tokens of the chosen slice over all documents, largest absolute difference first

let ranking = null;
function ranked() {
  if (ranking) return ranking;
  const list = [];
  documents.forEach((item, d) => item.pieces.forEach((_, i) => {
    const x = chosen(d, i) ? difference(d, i) : null;
    if (x) list.push([Math.abs(x), d, i]);
  }));
  ranking = list.sort((a, b) => b[0] - a[0] || a[1] - b[1] || a[2] - b[2]);
  return ranking;
}
function step(by) {
  const list = ranked();
  if (!list.length) return say();
  state.rank = state.rank < 0 && by < 0 ? list.length - 1 : (state.rank + by + list.length) % list.length;
  const [, d, i] = list[state.rank];
  if (d !== state.document) showDocument(d);
  focus(i);
  say();
}
function say() {
  const size = ranked().length;
  byId("rank").textContent = size ? `${whole(state.rank + 1)} of ${whole(size)}` : "no token";
}
// After a change of model or slice; the new ranking waits until it is asked for.
function reset() {
  ranking = null;
  forget();
  retint();
  if (state.current >= 0) show(state.current, false);
}
function forget() {
  state.rank = -1;
  byId("rank").textContent = "";
}

// ---- input

const tokenAt = (event) => {
  let target = event.target;
  while (target && target !== scroller && target.token === undefined) target = target.parentNode;
  return target && target !== scroller ? target.token : -1;
};
scroller.addEventListener("mouseover", (event) => { const i = tokenAt(event); if (i >= 0 && i !== state.current) show(i, false); });
scroller.addEventListener("mouseleave", () => { if (state.current !== state.pinned) show(state.pinned, false); });
scroller.addEventListener("click", (event) => { const i = tokenAt(event); if (i >= 0) focus(i); });
scroller.addEventListener("focusin", (event) => { const i = tokenAt(event); if (i >= 0 && i !== state.pinned) focus(i); });

// The token on the next line (by = 1) or the line before (-1) that starts nearest to where this one starts.
function line(i, by) {
  const start = bring(i).getClientRects()[0];
  if (!start) return i + by;
  let [best, distance, top] = [i, Infinity, start.top];
  let lines = 0;
  for (let k = i + by; k >= 0 && k < doc().pieces.length; k += by) {
    const box = node(k).getClientRects()[0];
    if (!box) continue;  // an empty token has no place
    if (Math.abs(box.top - top) > 4) {
      if (++lines > 1) break;
      top = box.top;
    }
    if (lines && Math.abs(box.left - start.left) < distance) [best, distance] = [k, Math.abs(box.left - start.left)];
  }
  return best;
}

const jump = () => { const i = state.current; if (i >= 0 && doc().distance[i]) focus(i - doc().distance[i]); };
byId("jump").addEventListener("click", jump);
byId("next").addEventListener("click", () => step(1));
byId("previous").addEventListener("click", () => step(-1));

scroller.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const i = Math.max(0, state.pinned);
  const moves = {
    ArrowRight: () => focus(state.pinned + 1), ArrowLeft: () => focus(i - 1),
    ArrowDown: () => focus(line(i, 1)), ArrowUp: () => focus(line(i, -1)),
    Home: () => focus(0), End: () => focus(doc().pieces.length - 1),
    Enter: jump,
    Escape: () => { state.pinned = -1; show(-1, false); scroller.focus(); },
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "n" || event.key === "j") step(1);
  if (event.key === "p" || event.key === "k") step(-1);
});

// ---- menus and legend

function fill(menu, names, first) {
  menu.replaceChildren(...names.map((name, k) => {
    const option = document.createElement("option");
    option.value = k + first;
    option.textContent = name;
    return option;
  }));
}
fill(modelMenu, models.slice(1), 1);
fill(documentMenu, documents.map((item) => `${item.id} (${whole(item.pieces.length)} tokens)`), 0);
fill(sliceMenu, ["all tokens", ...slices], -1);
modelMenu.addEventListener("change", () => { state.model = Number(modelMenu.value); legend(); reset(); });
sliceMenu.addEventListener("change", () => { state.slice = Number(sliceMenu.value); reset(); });
documentMenu.addEventListener("change", () => { showDocument(Number(documentMenu.value)); forget(); show(-1, false); });

function legend() {
  const box = byId("legend");
  const piece = (tag, text, name) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (name) element.className = name;
    box.append(element);
  };
  box.replaceChildren();
  piece("span", `${models[state.model]} better than ${models[reference]}, nats`);
  [...LEVELS].reverse().forEach((edge, k) => piece("i", `\u2264 ${MINUS}${edge}`, `b${LEVELS.length - k}`));
  piece("i", "0", "neutral");
  LEVELS.forEach((edge, k) => piece("i", `\u2265 ${edge}`, `w${k + 1}`));
  piece("span", "worse");
}

scroller.tabIndex = 0;
// A link may name its place: #document=0&model=based&slice=0&token=17
const wish = new URLSearchParams(location.hash.slice(1));
const wished = (name, size) => { const k = parseInt(wish.get(name), 10); return k >= 0 && k < size ? k : -1; };
state.model = Math.max(1, models.indexOf(wish.get("model")));
state.slice = wished("slice", slices.length);
[modelMenu.value, sliceMenu.value] = [state.model, state.slice];
legend();
showDocument(Math.max(0, wished("document", documents.length)));
focus(wished("token", doc().pieces.length));

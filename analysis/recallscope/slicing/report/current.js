// ---- the current token

let marked = [];
function mark(i) {
  for (const [old, name] of marked) peek(old)?.classList.remove(name);
  marked = [];
  if (i < 0) return;
  const lag = doc().distance[i];
  for (let k = 1; lag && k < ngram; k++) marked.push([i - k, "gram"], [i - lag - k, "gram"]);
  if (lag) marked.push([i - lag, "there"]);
  marked.push([i, "here"]);
  marked = marked.filter(([at]) => at >= 0);
  for (const [at, name] of marked) peek(at)?.classList.add(name);
}
function remark(block) {
  for (const [at, name] of marked) if (at >= block.start && at < block.end) block.spans[at - block.start].classList.add(name);
}

function about(i) {
  const d = doc();
  const lag = d.distance[i];
  const times = d.count[i];
  return [
    [models[reference], nats(loss(reference, i))],
    [models[state.model], nats(loss(state.model, i))],
    ["difference", signed(difference(state.document, i)), "sum"],
    ["slice", d.slice[i] < 0 ? "not scored" : slices[d.slice[i]]],
    ["training count", times === null ? "unknown" : times ? whole(times) : "0, never seen"],
    ["distance", lag ? whole(lag) : "new in the window"],
    ["position", `${whole(i)} of ${whole(d.pieces.length)}`],
  ];
}

function show(i, speak) {
  state.current = i;
  mark(i);
  const rows = i < 0 ? [] : about(i);
  byId("piece").textContent = i < 0 ? "no token chosen" : visible(doc().pieces[i]);
  byId("about").replaceChildren(...rows.flatMap(([name, value, kind]) => [["dt", name], ["dd", value]].map(([tag, text]) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  })));
  byId("jump").disabled = i < 0 || !doc().distance[i];
  if (speak && i >= 0) byId("live").textContent = `${visible(doc().pieces[i])}: ${rows.map((row) => `${row[0]} ${row[1]}`).join(", ")}`;
  drawLink();
}

function bring(i) {
  const target = node(i);
  const [box, view] = [target.getBoundingClientRect(), scroller.getBoundingClientRect()];
  if (box.top < view.top + 24 || box.bottom > view.bottom - 24) {
    // Twice: the first scroll lays out blocks whose height was a guess.
    target.scrollIntoView({ block: "center" });
    target.scrollIntoView({ block: "center" });
  }
  return target;
}

let stop = null;
function focus(i) {
  if (!Number.isInteger(i) || i < 0 || i >= doc().pieces.length) return;
  const target = bring(i);
  if (stop) stop.tabIndex = -1;
  stop = target;
  stop.tabIndex = 0;
  stop.focus({ preventScroll: true });
  state.pinned = i;
  show(i, true);
}

// ---- the line to the earlier occurrence, in the coordinates of the frame

function place(i, origin) {
  const box = peek(i)?.getClientRects()[0];
  if (!box || !box.width && !box.height) return null;
  return { x: box.left - origin.left + box.width / 2, top: box.top - origin.top, bottom: box.bottom - origin.top };
}

function drawLink() {
  const [halo, line, circle, label] = overlay.children;
  const i = state.current;
  const lag = i < 0 ? 0 : doc().distance[i];
  overlay.style.display = lag ? "" : "none";
  if (!lag) return;
  const origin = frame.getBoundingClientRect();
  const to = place(i, origin);
  if (!to || to.bottom < 0 || to.top > origin.height) {
    overlay.style.display = "none";
    return;
  }
  const from = place(i - lag, origin);
  const inside = from && from.bottom > 0;
  let path, end;
  if (inside && Math.abs(from.top - to.top) < 4) {
    const height = Math.min(26, 8 + Math.abs(to.x - from.x) / 8);
    path = `M${to.x},${to.top} C${to.x},${to.top - height} ${from.x},${from.top - height} ${from.x},${from.top}`;
    end = [from.x, from.top];
  } else if (inside) {
    const bend = Math.max(14, (to.top - from.bottom) / 2);
    path = `M${to.x},${to.top} C${to.x},${to.top - bend} ${from.x},${from.bottom + bend} ${from.x},${from.bottom}`;
    end = [from.x, from.bottom];
  } else {
    path = `M${to.x},${to.top} L${to.x},8 m-5,7 l5,-7 l5,7`;
    end = null;
  }
  halo.setAttribute("d", path);
  line.setAttribute("d", path);
  circle.style.display = end ? "" : "none";
  if (end) { circle.setAttribute("cx", end[0]); circle.setAttribute("cy", end[1]); }
  label.textContent = end ? "" : `${whole(lag)} tokens earlier`;
  const right = to.x > origin.width - 150;
  label.setAttribute("x", to.x + (right ? -10 : 10));
  label.setAttribute("y", 18);
  label.setAttribute("text-anchor", right ? "end" : "start");
}

let pending = false;
const redraw = () => {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; drawLink(); });
};
scroller.addEventListener("scroll", redraw, { passive: true });
addEventListener("resize", redraw);

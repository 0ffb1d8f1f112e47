// ---- points, dominance between intervals, readings: the same as recallscope.frontier, for what is visible

// Models that have both numbers and pass the filters, turned so that less is better: [log cost, quality] of the value, of
// the best corner and of the worst one.
function visible() {
  const needle = state.name.trim().toLowerCase();
  const found = [];
  data.models.forEach((model, id) => {
    const [q, c] = [model.q[state.quality], model.c[state.cost]];
    if (!q || !c || !(c[0] > 0) || FILTERS.some((name) => state.hidden[name].has(model[name]))) return;
    if (needle && !model.name.toLowerCase().includes(needle)) return;
    const x = turned(c, cost().better === "lower", Math.log), y = turned(q, quality().better === "lower", (v) => v);
    found.push({ id, model, q, c, value: [x[0], y[0]], best: [x[1], y[1]], worst: [x[2], y[2]] });
  });
  return judged(found);
}
function turned([value, low, high], lower, map) {
  const least = low === null ? value : Math.min(low, value), most = high === null ? value : Math.max(high, value);
  const [v, a, b] = [value, map(least) > -Infinity ? least : value, most].map(map);
  return lower ? [v, a, b] : [-v, -b, -a];
}
const covers = (a, b) => a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1]);

function judged(points) {
  for (const point of points) {
    let [lost, open, out] = [false, false, false];
    for (const other of points) {
      if (other === point) continue;
      if (covers(other.worst, point.best)) { lost = true; out = out || covers(other.value, point.value); if (out) break; }
      open = open || covers(other.best, point.worst);
      out = out || covers(other.value, point.value);
    }
    point.verdict = lost ? LOST : open ? OPEN : BEST;
    point.pareto = !out;
  }
  return points;
}

// Through the Pareto set: rising quality over rising log cost, of values, worst and best corners.
function curves(points) {
  const front = points.filter((point) => point.pareto).sort((a, b) => a.value[0] - b.value[0]);
  const curve = (name) => ({ x: front.map((p) => p[name][0]), y: front.map((p) => -p[name][1]) });
  const [value, worst, best] = ["value", "worst", "best"].map(curve);
  for (let k = 1; k < front.length; k++) {
    worst.x[k] = Math.max(worst.x[k], worst.x[k - 1]);
    worst.y[k] = Math.max(worst.y[k], worst.y[k - 1]);
    best.y[k] = Math.max(best.y[k], best.y[k - 1]);
  }
  for (let k = front.length - 2; k >= 0; k--) best.x[k] = Math.min(best.x[k], best.x[k + 1]);
  return { front, value, worst, best };
}
function qualityOn({ x, y }, at) {
  if (!x.length || at < x[0]) return null;
  let k = x.length - 1;
  while (x[k] > at) k--;
  if (k === x.length - 1 || x[k + 1] === x[k]) return y[k];
  return y[k] + (y[k + 1] - y[k]) * (at - x[k]) / (x[k + 1] - x[k]);
}
function costOn({ x, y }, at) {
  const k = y.findIndex((value) => value >= at);
  if (k <= 0) return k ? null : x[0];
  return x[k - 1] + (at - y[k - 1]) / (y[k] - y[k - 1]) * (x[k] - x[k - 1]);
}
const qualitySign = () => (quality().better === "higher" ? 1 : -1);
const costSign = () => (cost().better === "lower" ? 1 : -1);
const times = (sign, x) => (x === null ? null : sign * x);
const ordered = (sign, low, high) => (sign > 0 ? [low, high] : [high, low]);

// [value, low, high]; null: out of what these points can say.
function qualityAt(lines, budget) {
  const x = costSign() * Math.log(budget), sign = qualitySign();
  const [value, worst, best] = [lines.value, lines.worst, lines.best].map((line) => times(sign, qualityOn(line, x)));
  return [value, ...ordered(sign, worst, best)];
}
function costAt(lines, wanted) {
  const y = qualitySign() * wanted, sign = costSign();
  const found = [lines.value, lines.best, lines.worst].map((line) => times(sign, costOn(line, y)));
  const [value, low, high] = found.map((x) => (x === null ? null : Math.exp(x)));
  return [value, ...ordered(sign, low, high)];
}
// By which factor the cost changes for one more point of quality, from a point of the frontier on: [value, low, high].
function priceAt({ front }, point) {
  const k = front.indexOf(point);
  if (k < 0 || k + 1 >= front.length) return null;
  const next = front[k + 1], step = quality().step, sign = costSign();
  const rise = point.value[1] - next.value[1], least = point.best[1] - next.worst[1], most = point.worst[1] - next.best[1];
  const run = (next.value[0] - point.value[0]) * step;
  const short = Math.max(next.best[0] - point.worst[0], 0) * step, long = (next.worst[0] - point.best[0]) * step;
  const logs = [run / rise, ...ordered(sign, short / most, least > 0 ? long / least : null)];
  return logs.map((x) => (x === null ? null : Math.exp(sign * x)));
}

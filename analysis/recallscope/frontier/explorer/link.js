// ---- the address: every choice stands in the fragment, and any fragment is read without harm

// Only what is known is taken over; everything else is left at its default.
function readLink(text) {
  const next = fresh();
  const wish = new URLSearchParams(text.replace(/^#/, ""));
  for (const name of ["quality", "cost"]) next[name] = axisOf[name].get(wish.get(name)) ?? next[name];
  for (const name of FILTERS) {
    for (const value of wish.getAll(`without-${name}`)) if (values[name].includes(value)) next.hidden[name].add(value);
  }
  next.name = (wish.get("model") ?? "").slice(0, 80);
  next.log = wish.get("log") !== "no";
  const [sort, way] = (wish.get("sort") ?? "").split(" ");
  if (SORTS.includes(sort)) [next.sort, next.falling] = [sort, way === "falling"];
  next.budget = finite(wish.get("budget"), (x) => x > 0);
  next.target = finite(wish.get("target"), () => true);
  const point = finite(wish.get("point"), (x) => Number.isInteger(x) && x >= 0 && x < data.models.length);
  next.point = point ?? -1;
  return next;
}
function finite(text, accepted) {
  const x = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(x) && accepted(x) ? x : null;
}

function link() {
  const normal = fresh(), out = new URLSearchParams();
  if (state.quality !== normal.quality) out.set("quality", quality().label);
  if (state.cost !== normal.cost) out.set("cost", cost().label);
  for (const name of FILTERS) for (const value of state.hidden[name]) out.append(`without-${name}`, value);
  if (state.name) out.set("model", state.name);
  if (!state.log) out.set("log", "no");
  if (state.sort !== normal.sort || state.falling) out.set("sort", state.sort + (state.falling ? " falling" : ""));
  for (const name of ["budget", "target"]) if (state[name] !== null) out.set(name, state[name]);
  if (state.point >= 0) out.set("point", state.point);
  return out.toString();
}
let written = null;
function writeLink() {
  const text = link();
  if (text === written) return;
  written = text;
  try {
    history.replaceState(null, "", text ? `#${text}` : location.href.split("#")[0]);
  } catch { /* too many at once, or refused for this kind of page: the choice holds without the address */ }
}

// ---- the plot

const place = byId("plot");
const config = {
  responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  toImageButtonOptions: { format: "svg", filename: "frontier" }, doubleClick: "reset",
};
const SIZES = { [BEST]: 11, [OPEN]: 9, [LOST]: 7.5 };
const ink = () => data.templates[window.darkTheme() ? "dark" : "light"].layout.font.color;
const muted = () => data.templates[window.darkTheme() ? "dark" : "light"].layout.xaxis.tickfont.color;

function hover(point) {
  const [q, c] = [point.q, point.c];
  const lines = [`<b>${escaped(shown(point.model.name))}</b>`];
  lines.push(escaped(`${quality().metric} ${number(q[0])} ${interval(q[1], q[2])}`));
  lines.push(escaped(`${cost().metric} ${number(c[0])} ${interval(c[1], c[2])}`));
  lines.push(`${point.verdict}; ${kindWord(point.model.kind)}`);
  const [, source, trust, flag, origin] = data.origins[q[3]];
  for (const text of [source, trust && `trust: ${trust}`, flag && `flag: ${flag}`, origin]) if (text) lines.push(wrapped(text));
  return lines.join("<br>");
}
// Nothing where no point has an interval: plotly would draw a path of no length for each.
function whiskers(points, name, color) {
  const reach = (k) => points.map((p) => (p[name][k] === null ? 0 : Math.abs(p[name][k] - p[name][0])));
  const array = reach(2), arrayminus = reach(1), visible = [...array, ...arrayminus].some((x) => x > 0);
  return visible ? { type: "data", symmetric: false, array, arrayminus, width: 0, thickness: 1, color: `${color}80` } : { visible };
}
function series(points) {
  const groups = new Map();
  for (const point of points) {
    const key = JSON.stringify([point.model.family, point.model.kind === "published"]);
    groups.set(key, [...(groups.get(key) ?? []), point]);
  }
  return [...groups.values()].map((own) => {
    const [color, symbol] = data.families[own[0].model.family], hollow = own[0].model.kind === "published";
    return {
      type: "scatter", mode: "markers", x: own.map((p) => p.c[0]), y: own.map((p) => p.q[0]), customdata: own.map((p) => p.id),
      hovertext: own.map(hover), hoverinfo: "text", hoverlabel: { align: "left", namelength: 0 },
      error_x: whiskers(own, "c", color), error_y: whiskers(own, "q", color),
      marker: {
        color, symbol: symbol + (hollow ? "-open" : ""), size: own.map((p) => SIZES[p.verdict]),
        opacity: own.map((p) => (p.verdict === LOST ? 0.5 : 1)), line: { width: hollow ? 1.7 : 0, color },
      },
    };
  });
}
const line = (x, y, name, style) => ({ type: "scatter", mode: "lines", x, y, name, line: style, hoverinfo: "skip" });

// The page comes before plotly, which takes a second or two to compile: everything but the plot is there at once.
function drawPlot() {
  if (!window.Plotly) return;
  const { points, lines } = now;
  const traces = [];
  const limit = data.limits[limitKey()];
  if (limit) traces.push(line(limit[0], limit[1], "information limit", { color: muted(), width: 1.4, dash: "dot" }));
  traces.push(line(lines.front.map((p) => p.c[0]), lines.front.map((p) => p.q[0]), "frontier", { color: muted(), width: 1.4 }));
  traces.push(...series(points));
  const chosen = points.find((point) => point.id === state.point);
  if (chosen) {
    traces.push({
      type: "scatter", mode: "markers", x: [chosen.c[0]], y: [chosen.q[0]], hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 21, color: ink(), line: { width: 2, color: ink() } },
    });
  }
  const dash = { color: ink(), width: 1, dash: "dash" }, shapes = [];
  if (state.budget) shapes.push({ type: "line", xref: "x", yref: "paper", x0: state.budget, x1: state.budget, y0: 0, y1: 1, line: dash });
  if (state.target !== null) shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: state.target, y1: state.target, line: dash });
  const si = /^(bytes|elements)/.test(cost().unit);
  const layout = {
    template: data.templates[window.darkTheme() ? "dark" : "light"], autosize: true, showlegend: false, hovermode: "closest", shapes,
    margin: { l: 64, r: 16, t: 16, b: 56 }, uirevision: limitKey() + state.log,
    xaxis: {
      type: state.log ? "log" : "linear", title: { text: escaped(shown(cost().label)) }, exponentformat: si ? "SI" : "B", minexponent: 3,
      ...(state.log ? { dtick: 1, showgrid: true } : {}),
    },
    yaxis: { title: { text: escaped(shown(quality().metric + unit(quality()))) } },
  };
  if (!limit && state.log && spread(points) < 30) delete layout.xaxis.dtick;
  window.Plotly.react(place, traces, layout, config);
  if (!place.dataset.listens) {
    place.dataset.listens = "yes";
    place.on("plotly_click", (event) => { const id = event.points[0]?.customdata; if (id !== undefined) choose(id); });
  }
}
const spread = (points) => Math.max(...points.map((p) => p.c[0])) / Math.min(...points.map((p) => p.c[0]));

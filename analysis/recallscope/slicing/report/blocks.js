// ---- blocks: plain text until they come near the window, then one span per token

const LINES = 120, LONGEST = 1500;  // tokens: a block ends at the first line end after LINES, or at LONGEST
function cutPoints(pieces) {
  const ends = [];
  for (let i = 0, start = 0; i < pieces.length; i++) {
    const size = i + 1 - start;
    if ((size >= LINES && pieces[i].endsWith("\n")) || size >= LONGEST || i + 1 === pieces.length) {
      ends.push(i + 1);
      start = i + 1;
    }
  }
  return ends;
}

function showDocument(d) {
  state.document = d;
  state.current = state.pinned = -1;
  near.disconnect();
  marked = [];
  const pieces = doc().pieces;
  let start = 0;
  state.blocks = cutPoints(pieces).map((end) => {
    const node = document.createElement("div");
    node.className = end < pieces.length && !pieces[end - 1].endsWith("\n") ? "block cut" : "block";
    node.textContent = shown(pieces.slice(start, end).join(""));
    const block = { node, start, end, version: -1, near: false, spans: null };
    node.block = block;
    start = end;
    return block;
  });
  state.starts = state.blocks.map((block) => block.start);
  scroller.replaceChildren(...state.blocks.map((block) => block.node));
  scroller.scrollTop = 0;
  for (const block of state.blocks) near.observe(block.node);
  documentMenu.value = d;
  drawLink();
}

function span(i) {
  const node = document.createElement("span");
  node.token = i;
  node.tabIndex = -1;
  const text = shown(doc().pieces[i]);
  if (!/[\n\t]/.test(text)) {
    node.textContent = text;
    return node;
  }
  for (const part of text.split(/(\n|\t)/)) {
    if (part === "\n" || part === "\t") {
      const mark = document.createElement("i");
      mark.className = part === "\n" ? "nl" : "tab";
      node.append(mark);
    }
    node.append(part);
  }
  return node;
}

function refresh(block) {
  if (!block.spans) {
    block.spans = [];
    for (let i = block.start; i < block.end; i++) block.spans.push(span(i));
    block.node.replaceChildren(...block.spans);
  }
  if (block.version === state.version) return;
  block.spans.forEach((node, k) => { node.className = classes(block.start + k); });
  block.version = state.version;
  remark(block);
}

const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.block.near = isIntersecting;
    if (isIntersecting) refresh(target.block);
  }
}, { root: scroller, rootMargin: "500px 0px" });

function retint() {
  state.version++;
  state.blocks.filter((block) => block.near).forEach(refresh);
}

function blockOf(i) {
  let [low, high] = [0, state.starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (state.starts[middle] <= i) low = middle;
    else high = middle - 1;
  }
  return state.blocks[low];
}
function node(i) {
  const block = blockOf(i);
  refresh(block);
  return block.spans[i - block.start];
}
// The span of a token if it has one already; looking must not build blocks far away.
function peek(i) {
  const block = blockOf(i);
  return block.spans ? block.spans[i - block.start] : null;
}

/** The version history: the lineage of a thread's images. The server does the layout; the user zooms and moves it. */

import { sentence } from "./api.js";
import { formatPercent, text } from "./messages.js";
import { $, clone, keyed, origin, write } from "./render_message.js";

const CELL = 176; // pixels, like the next four
const CAPTION = 52;
const GAP = { x: 72, y: 28 };
const MARGIN = 28;
const MIN_DRAG = 4; // a smaller movement is a click
const ZOOM_STEP = 1.25; // per press of + or -
const MIN_SCALE = 0.08;
const MAX_SCALE = 4;
const REFRESH_DELAY = 150; // milliseconds; one request for several changes
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Adds the event listeners of the dialog. `load()` returns the nodes, `enlarge(picture)` opens the large view. */
export function createLineage(dialog, { load, enlarge }) {
  const viewport = $(".viewport", dialog);
  const canvas = $(".canvas", viewport);
  const arrows = $(".arrows", canvas);
  const list = $("ol", canvas);
  const pointers = new Map(); // id -> { x, y, start }
  let nodes = [];
  let view = { x: 0, y: 0, scale: 1 };
  let wasMoved = false; // by the user
  let isDragging = false;
  let refreshTimer;

  async function open() {
    show(await load());
    wasMoved = false;
    if (!dialog.open) dialog.showModal();
    $("[tabindex='0']", list)?.focus();
    fit();
  }

  function refresh() {
    if (!dialog.open) return;
    clearTimeout(refreshTimer);
    refreshTimer = setTimeout(async () => {
      try {
        show(await load());
        if (!wasMoved) fit();
      } catch (error) {
        write($(".empty-note", dialog), sentence(error));
      }
    }, REFRESH_DELAY);
  }

  function show(loaded) {
    nodes = loaded;
    write($(".empty-note", dialog), nodes.length ? "" : text("web-no-images"));
    const { width, height } = size();
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    keyed(list, nodes, { key: ({ picture }) => picture.number, create: () => clone("node"), patch });
    drawArrows(width, height);
    if (!$("[tabindex='0']", list)) $("button", list)?.setAttribute("tabindex", "0");
  }

  function size() {
    const most = (name) => Math.max(0, ...nodes.map((node) => node[name]));
    return {
      width: most("column") * (CELL + GAP.x) + CELL,
      height: most("row") * (CELL + CAPTION + GAP.y) + CELL + CAPTION,
    };
  }

  function patch(item, { picture, parent, column, row }) {
    const button = $("button", item);
    const image = $("img", item);
    const caption = origin(picture.operation, parent);
    const { x, y } = position({ column, row });
    Object.assign(item.style, { left: `${x}px`, top: `${y}px` });
    button.dataset.number = picture.number;
    button.setAttribute("aria-label", text("web-node", { ...picture, origin: caption }));
    button.title = picture.prompt || picture.alt;
    if (image.getAttribute("src") !== picture.url) image.src = picture.url;
    write($("strong", item), `#${picture.number}`);
    write($("span", item), caption);
  }

  function drawArrows(width, height) {
    const placed = new Map(nodes.map((node) => [node.picture.number, node]));
    arrows.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const children = nodes.filter(({ parent }) => placed.has(parent));
    const paths = children.map((node) => {
      const from = position(placed.get(node.parent));
      const to = position(node);
      const [x, y, endX, endY] = [from.x + CELL, from.y + CELL / 2, to.x - 9, to.y + CELL / 2];
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", `M${x} ${y}C${x + GAP.x / 2} ${y} ${endX - GAP.x / 2} ${endY} ${endX} ${endY}`);
      path.setAttribute("marker-end", "url(#tip)");
      return path;
    });
    $("g", arrows).replaceChildren(...paths);
  }

  // ---- Zoom and position

  function setView(next) {
    view = next;
    canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    write($("output", dialog), formatPercent(view.scale));
  }

  /** Shows all nodes, centered. */
  function fit() {
    const { width, height } = size();
    const { clientWidth, clientHeight } = viewport;
    const scale = Math.min(1, (clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height);
    const limited = Math.max(MIN_SCALE, scale);
    setView({ scale: limited, x: (clientWidth - width * limited) / 2, y: (clientHeight - height * limited) / 2 });
    wasMoved = false;
  }

  function move(x, y) {
    wasMoved = true;
    setView({ ...view, x: view.x + x, y: view.y + y });
  }

  /** Zooms around a point of the viewport, by default around its center. */
  function zoom(factor, point = { x: viewport.clientWidth / 2, y: viewport.clientHeight / 2 }) {
    const scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, view.scale * factor));
    const by = scale / view.scale;
    wasMoved = true;
    setView({ scale, x: point.x - (point.x - view.x) * by, y: point.y - (point.y - view.y) * by });
  }

  /** Moves the view just far enough to show the whole item. */
  function reveal(item) {
    const [inner, outer] = [item.getBoundingClientRect(), viewport.getBoundingClientRect()];
    const shift = (low, high, least, most) => Math.max(least - low, 0) || Math.min(most - high, 0);
    const x = shift(inner.left, inner.right, outer.left + 8, outer.right - 8);
    const y = shift(inner.top, inner.bottom, outer.top + 8, outer.bottom - 8);
    if (x || y) move(x, y);
  }

  // ---- Mouse and touch

  const pointIn = ({ clientX, clientY }) => {
    const { left, top } = viewport.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  /** Returns the center of all pointers and the distance of the first two. */
  function pointerState() {
    const points = [...pointers.values()];
    const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
    const [first, second] = points;
    return { x: mean("x"), y: mean("y"), spread: second ? Math.hypot(first.x - second.x, first.y - second.y) : 0 };
  }

  viewport.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!pointers.size) isDragging = false;
    pointers.set(event.pointerId, { ...pointIn(event), start: pointIn(event) });
  });
  viewport.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const { x, y } = pointIn(event);
    if (!isDragging && Math.hypot(x - last.start.x, y - last.start.y) < MIN_DRAG) return;
    isDragging = true;
    viewport.setPointerCapture(event.pointerId); // no click on a node follows
    const before = pointerState();
    pointers.set(event.pointerId, { x, y, start: last.start });
    const after = pointerState();
    move(after.x - before.x, after.y - before.y);
    if (before.spread && after.spread) zoom(after.spread / before.spread, after);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    dialog.addEventListener(name, ({ pointerId }) => pointers.delete(pointerId));
  }
  viewport.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 20 : 1);
    zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), pointIn(event)); // a pinch on a touchpad has ctrlKey
  }, { passive: false });

  // ---- Keys and buttons

  const actions = { in: () => zoom(ZOOM_STEP), out: () => zoom(1 / ZOOM_STEP), fit };
  const keys = { "+": actions.in, "=": actions.in, "-": actions.out, _: actions.out, 0: fit };

  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = DIRECTIONS[event.key];
    if (!direction && !keys[event.key]) return;
    event.preventDefault();
    if (!direction) keys[event.key]();
    else if (event.shiftKey || !list.contains(document.activeElement)) move(-60 * direction[0], -60 * direction[1]);
    else neighbor(Number(document.activeElement.dataset.number), direction)?.focus();
  });
  dialog.addEventListener("click", ({ target }) => {
    actions[target.closest("[data-zoom]")?.dataset.zoom]?.();
    const number = Number(target.closest(".node button")?.dataset.number);
    if (number) enlarge(nodes.find(({ picture }) => picture.number === number).picture);
  });
  list.addEventListener("focusin", ({ target }) => {
    for (const each of list.querySelectorAll("button")) each.tabIndex = each === target ? 0 : -1;
    if (target.matches(":focus-visible")) reveal(target.closest("li"));
  });

  /** Returns the nearest node in a direction; a sideways distance counts twice. */
  function neighbor(number, [right, down]) {
    const from = nodes.find(({ picture }) => picture.number === number);
    const distance = ({ column, row }) => {
      const [x, y] = [column - from.column, row - from.row];
      const [ahead, sideways] = right ? [x * right, Math.abs(y)] : [y * down, Math.abs(x)];
      return ahead > 0 ? ahead + 2 * sideways : Infinity;
    };
    const [nearest] = nodes.filter((node) => distance(node) < Infinity).sort((a, b) => distance(a) - distance(b));
    return nearest && $(`[data-number="${nearest.picture.number}"]`, list);
  }

  new ResizeObserver(() => !wasMoved && dialog.open && fit()).observe(viewport);

  return {
    open,
    refresh,
    get isEmpty() {
      return nodes.length === 0;
    },
  };
}

function position({ column, row }) {
  return { x: column * (CELL + GAP.x), y: row * (CELL + CAPTION + GAP.y) };
}

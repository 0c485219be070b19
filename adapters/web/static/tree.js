/** The tree of a thread's pictures: laid out by the server, zoomed and moved here by wheel, fingers, mouse and keys. */

import { sentence } from "./api.js";
import { $, clone, keyed, write } from "./view.js";

const CELL = 176; // pixels, as all of these
const CAPTION = 52;
const GAP = { x: 72, y: 28 };
const MARGIN = 28;
const SLIP = 4; // less movement than this is a click
const STEP = 1.25; // of one press of + or -
const LEAST = 0.08;
const MOST = 4;
const SOON = 150; // milliseconds, for a burst of changes
const WAYS = {
  generate: "drawn", edit: "edit", vary: "variation", refine: "refinement", upscale: "enlargement",
  select: "choice", upload: "upload",
};
const SIDES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Brings the dialog to life. `load()` asks for the nodes, `enlarge(picture)` shows one large. */
export function createTree(dialog, { load, enlarge }) {
  const viewport = $(".viewport", dialog);
  const world = $(".world", viewport);
  const arrows = $(".arrows", world);
  const list = $("ol", world);
  const pointers = new Map(); // id -> { x, y, start }
  let nodes = [];
  let view = { x: 0, y: 0, scale: 1 };
  let touched = false; // somebody has chosen what to look at
  let dragging = false;
  let waiting; // timer

  async function open() {
    show(await load());
    touched = false;
    if (!dialog.open) dialog.showModal();
    $("[tabindex='0']", list)?.focus();
    fit();
  }

  function changed() {
    if (!dialog.open) return;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      try {
        show(await load());
        if (!touched) fit();
      } catch (error) {
        write($(".nothing", dialog), sentence(error));
      }
    }, SOON);
  }

  function show(told) {
    nodes = told;
    write($(".nothing", dialog), nodes.length ? "" : "There is no picture here yet.");
    const { width, height } = size();
    Object.assign(world.style, { width: `${width}px`, height: `${height}px` });
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
    const way = `${WAYS[picture.operation] ?? picture.operation}${parent ? ` of #${parent}` : ""}`;
    const { x, y } = corner({ column, row });
    Object.assign(item.style, { left: `${x}px`, top: `${y}px` });
    button.dataset.number = picture.number;
    button.setAttribute("aria-label", `Picture ${picture.number}, ${way}: ${picture.alt}`);
    button.title = picture.prompt || picture.alt;
    if (image.getAttribute("src") !== picture.url) image.src = picture.url;
    write($("strong", item), `#${picture.number}`);
    write($("span", item), way);
  }

  function drawArrows(width, height) {
    const placed = new Map(nodes.map((node) => [node.picture.number, node]));
    arrows.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const born = nodes.filter(({ parent }) => placed.has(parent));
    const paths = born.map((node) => {
      const from = corner(placed.get(node.parent));
      const to = corner(node);
      const [x, y, right, down] = [from.x + CELL, from.y + CELL / 2, to.x - 9, to.y + CELL / 2];
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", `M${x} ${y}C${x + GAP.x / 2} ${y} ${right - GAP.x / 2} ${down} ${right} ${down}`);
      path.setAttribute("marker-end", "url(#tip)");
      return path;
    });
    $("g", arrows).replaceChildren(...paths);
  }

  // ---- What is looked at

  function look(next) {
    view = next;
    world.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    write($("output", dialog), `${Math.round(view.scale * 100)}%`);
  }

  /** Everything, in the middle. */
  function fit() {
    const { width, height } = size();
    const { clientWidth, clientHeight } = viewport;
    const scale = Math.min(1, (clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height);
    const kept = Math.max(LEAST, scale);
    look({ scale: kept, x: (clientWidth - width * kept) / 2, y: (clientHeight - height * kept) / 2 });
    touched = false;
  }

  function move(x, y) {
    touched = true;
    look({ ...view, x: view.x + x, y: view.y + y });
  }

  /** Zooms so that the point of the viewport, its middle if none is given, stays where it is. */
  function zoom(factor, point = { x: viewport.clientWidth / 2, y: viewport.clientHeight / 2 }) {
    const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
    const by = scale / view.scale;
    touched = true;
    look({ scale, x: point.x - (point.x - view.x) * by, y: point.y - (point.y - view.y) * by });
  }

  /** Moves no further than it takes to have the whole picture in sight. */
  function reveal(item) {
    const [inner, outer] = [item.getBoundingClientRect(), viewport.getBoundingClientRect()];
    const into = (low, high, least, most) => Math.max(least - low, 0) || Math.min(most - high, 0);
    const x = into(inner.left, inner.right, outer.left + 8, outer.right - 8);
    const y = into(inner.top, inner.bottom, outer.top + 8, outer.bottom - 8);
    if (x || y) move(x, y);
  }

  // ---- Mouse and fingers

  const within = ({ clientX, clientY }) => {
    const { left, top } = viewport.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  /** The middle of all fingers, and how far apart the first two are. */
  function grip() {
    const points = [...pointers.values()];
    const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
    const [one, two] = points;
    return { x: mean("x"), y: mean("y"), spread: two ? Math.hypot(one.x - two.x, one.y - two.y) : 0 };
  }

  viewport.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!pointers.size) dragging = false;
    pointers.set(event.pointerId, { ...within(event), start: within(event) });
  });
  viewport.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const { x, y } = within(event);
    if (!dragging && Math.hypot(x - last.start.x, y - last.start.y) < SLIP) return;
    dragging = true;
    viewport.setPointerCapture(event.pointerId); // from now on it is no click on what lies below
    const before = grip();
    pointers.set(event.pointerId, { x, y, start: last.start });
    const after = grip();
    move(after.x - before.x, after.y - before.y);
    if (before.spread && after.spread) zoom(after.spread / before.spread, after);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    dialog.addEventListener(name, ({ pointerId }) => pointers.delete(pointerId));
  }
  viewport.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 20 : 1);
    zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), within(event)); // a pinch on a touchpad has ctrlKey
  }, { passive: false });

  // ---- Keys and buttons

  const acts = { in: () => zoom(STEP), out: () => zoom(1 / STEP), fit };
  const keys = { "+": acts.in, "=": acts.in, "-": acts.out, _: acts.out, 0: fit };

  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const side = SIDES[event.key];
    if (!side && !keys[event.key]) return;
    event.preventDefault();
    if (!side) keys[event.key]();
    else if (event.shiftKey || !list.contains(document.activeElement)) move(-60 * side[0], -60 * side[1]);
    else neighbour(Number(document.activeElement.dataset.number), side)?.focus();
  });
  dialog.addEventListener("click", ({ target }) => {
    acts[target.closest("[data-zoom]")?.dataset.zoom]?.();
    const number = Number(target.closest(".node button")?.dataset.number);
    if (number) enlarge(nodes.find(({ picture }) => picture.number === number).picture);
  });
  list.addEventListener("focusin", ({ target }) => {
    for (const each of list.querySelectorAll("button")) each.tabIndex = each === target ? 0 : -1;
    if (target.matches(":focus-visible")) reveal(target.closest("li"));
  });

  /** The nearest node on that side; what lies askew counts as further away. */
  function neighbour(number, [right, down]) {
    const from = nodes.find(({ picture }) => picture.number === number);
    const far = ({ column, row }) => {
      const [x, y] = [column - from.column, row - from.row];
      const [ahead, aside] = right ? [x * right, Math.abs(y)] : [y * down, Math.abs(x)];
      return ahead > 0 ? ahead + 2 * aside : Infinity;
    };
    const [best] = nodes.filter((node) => far(node) < Infinity).sort((one, two) => far(one) - far(two));
    return best && $(`[data-number="${best.picture.number}"]`, list);
  }

  new ResizeObserver(() => !touched && dialog.open && fit()).observe(viewport);

  return {
    open,
    changed,
    get empty() {
      return nodes.length === 0;
    },
  };
}

function corner({ column, row }) {
  return { x: column * (CELL + GAP.x), y: row * (CELL + CAPTION + GAP.y) };
}

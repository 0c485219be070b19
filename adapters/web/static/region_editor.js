/** The dialog in which a user marks a region of an image, with a pointer or with the keyboard. */

import { formatPercent, text } from "./messages.js";
import { bounds, outline, parsePolygon, showRegion } from "./region.js";
import { $, write } from "./render_message.js";

const MAX_POINTS = 100;
const MIN_SIDE = 1; // percent; a smaller polygon is an accidental movement
const STEP = 5; // percent per key press
const FIRST_BOX = { left: 30, top: 30, width: 40, height: 40 };
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Adds the event listeners of the dialog. */
export function createRegionEditor(dialog) {
  const area = $(".draw-area", dialog);
  const frame = $(".image-frame", dialog);
  const line = $(".outline", dialog);
  let picture; // the image in the dialog
  let region = "";
  let stroke = null; // { id, polygon } of the line that the user draws now
  let finish = () => {}; // receives the region

  /** Shows the image with its region; calls `done(region)` unless the user closes the dialog. */
  function open(image, current, done) {
    [picture, finish, stroke] = [image, done, null];
    write($("h2", dialog), text("web-mark-region-of", picture));
    area.setAttribute("aria-label", text("web-image", picture));
    Object.assign($("img", frame), { src: picture.url, alt: picture.alt });
    frame.style.setProperty("--ratio", picture.width / picture.height);
    dialog.showModal();
    show(current);
  }

  function show(marked) {
    region = marked;
    showRegion($("svg", frame), region, picture);
    write($("[role=status]", dialog), region && describe(bounds(parsePolygon(region))));
  }

  function close(chosen) {
    dialog.close();
    finish(chosen);
  }

  // ---- Mouse, pen and finger

  /** Returns the position of the pointer in percent of the image; a position outside is moved to the edge. */
  function position({ clientX, clientY }) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [percent((clientX - left) / width), percent((clientY - top) / height)];
  }

  function extend(event) {
    const point = position(event);
    if (String(point) !== String(stroke.polygon.at(-1))) stroke.polygon.push(point);
    line.setAttribute("d", outline(stroke.polygon, picture));
  }

  function endStroke() {
    stroke = null;
    show(region);
  }

  area.addEventListener("pointerdown", (event) => {
    if (event.button || stroke) return;
    area.setPointerCapture(event.pointerId);
    stroke = { id: event.pointerId, polygon: [] };
    showRegion($("svg", frame), "", picture);
    extend(event);
  });
  area.addEventListener("pointermove", (event) => {
    if (event.pointerId === stroke?.id) extend(event);
  });
  area.addEventListener("pointerup", (event) => {
    if (event.pointerId !== stroke?.id) return;
    extend(event);
    if (isIntended(stroke.polygon)) region = simplify(stroke.polygon).join(" ");
    endStroke();
  });
  area.addEventListener("lostpointercapture", ({ pointerId }) => pointerId === stroke?.id && endStroke()); // interrupted

  // ---- Keys and buttons

  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || stroke) return;
    const direction = DIRECTIONS[event.key];
    const enter = event.key === "Enter" && !event.repeat && !event.target.closest("button");
    if (!direction && !enter) return;
    event.preventDefault();
    if (enter) close(region);
    else show(boxPolygon(moveBox(region, direction, event.shiftKey)));
  });
  $("[data-testid=region-done]", dialog).addEventListener("click", () => close(region));
  $("[data-testid=region-whole]", dialog).addEventListener("click", () => close(""));
  dialog.addEventListener("close", () => $("img", frame).removeAttribute("src"));

  return {
    open,
    close: () => dialog.close(),
    get isOpen() {
      return dialog.open;
    },
  };
}

/** Returns a share as a percentage with one decimal. */
const percent = (share) => Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10;

function isIntended(polygon) {
  const { width, height } = bounds(polygon);
  return polygon.length >= 3 && width >= MIN_SIDE && height >= MIN_SIDE;
}

/** Returns at most 100 of the points, at even distances. */
function simplify(polygon) {
  const count = Math.min(MAX_POINTS, polygon.length);
  return Array.from({ length: count }, (_, index) => polygon[Math.floor((index * polygon.length) / count)]);
}

const boxPolygon = ({ left, top, width, height }) =>
  `${left},${top} ${left + width},${top} ${left + width},${top + height} ${left},${top + height}`;

/** Moves the box one step, or resizes it from its lower right corner; returns the first box if there is none. */
function moveBox(region, [right, down], resize) {
  const box = region && bounds(parsePolygon(region));
  if (!box || boxPolygon(box) !== region) return FIRST_BOX;
  const { left, top, width, height } = box;
  const clamp = (least, value, most) => Math.min(most, Math.max(least, value));
  if (resize) {
    return {
      ...box,
      width: clamp(STEP, width + STEP * right, 100 - left),
      height: clamp(STEP, height + STEP * down, 100 - top),
    };
  }
  return { ...box, left: clamp(0, left + STEP * right, 100 - width), top: clamp(0, top + STEP * down, 100 - height) };
}

function describe({ left, top, width, height }) {
  const share = (percentage) => formatPercent(percentage / 100);
  return text("web-marked", { left: share(left), right: share(left + width), top: share(top), bottom: share(top + height) });
}

/** The dialog in which a part of a picture is marked: by a line drawn around it, or by keys. */

import { bounds, cornersOf, outline, showPart } from "./part.js";
import { $, write } from "./view.js";

const MOST_CORNERS = 100;
const LEAST = 1; // percent each way; a smaller line was a slip
const STEP = 5; // percent, of one press of a key
const MIDDLE = { left: 30, top: 30, width: 40, height: 40 };
const SIDES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Brings the dialog to life. */
export function createMark(dialog) {
  const room = $(".room", dialog);
  const sheet = $(".sheet", dialog);
  const line = $(".line", dialog);
  let picture; // the one that is marked
  let part = "";
  let drawn = null; // { id, corners } of the line under way
  let finish = () => {}; // told the part

  /** Shows the picture with what is marked of it; `done(part)` is called unless the person leaves without choosing. */
  function ask(shown, marked, done) {
    [picture, finish, drawn] = [shown, done, null];
    write($("h2", dialog), `Mark a part of #${picture.number}`);
    room.setAttribute("aria-label", `Picture ${picture.number}`);
    Object.assign($("img", sheet), { src: picture.url, alt: picture.alt });
    sheet.style.setProperty("--ratio", picture.width / picture.height);
    dialog.showModal();
    show(marked);
  }

  function show(marked) {
    part = marked;
    showPart($("svg", sheet), part, picture);
    write($("[role=status]", dialog), part && `Marked: ${sentence(bounds(cornersOf(part)))}`);
  }

  function close(chosen) {
    dialog.close();
    finish(chosen);
  }

  // ---- Mouse, pen and finger

  /** Where the pointer is, in percent of the picture; beside it counts as its edge. */
  function within({ clientX, clientY }) {
    const { left, top, width, height } = sheet.getBoundingClientRect();
    return [percent((clientX - left) / width), percent((clientY - top) / height)];
  }

  function extend(event) {
    const corner = within(event);
    if (String(corner) !== String(drawn.corners.at(-1))) drawn.corners.push(corner);
    line.setAttribute("d", outline(drawn.corners, picture));
  }

  function drop() {
    drawn = null;
    show(part);
  }

  room.addEventListener("pointerdown", (event) => {
    if (event.button || drawn) return;
    room.setPointerCapture(event.pointerId);
    drawn = { id: event.pointerId, corners: [] };
    showPart($("svg", sheet), "", picture);
    extend(event);
  });
  room.addEventListener("pointermove", (event) => {
    if (event.pointerId === drawn?.id) extend(event);
  });
  room.addEventListener("pointerup", (event) => {
    if (event.pointerId !== drawn?.id) return;
    extend(event);
    if (meant(drawn.corners)) part = thin(drawn.corners).join(" ");
    drop();
  });
  room.addEventListener("lostpointercapture", ({ pointerId }) => pointerId === drawn?.id && drop()); // interrupted

  // ---- Keys and buttons

  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || drawn) return;
    const side = SIDES[event.key];
    const enter = event.key === "Enter" && !event.repeat && !event.target.closest("button");
    if (!side && !enter) return;
    event.preventDefault();
    if (enter) close(part);
    else show(around(changed(part, side, event.shiftKey)));
  });
  $("[data-testid=mark-done]", dialog).addEventListener("click", () => close(part));
  $("[data-testid=mark-whole]", dialog).addEventListener("click", () => close(""));
  dialog.addEventListener("close", () => $("img", sheet).removeAttribute("src"));

  return {
    ask,
    close: () => dialog.close(),
    get open() {
      return dialog.open;
    },
  };
}

/** A share of the whole as a percentage with one decimal. */
const percent = (share) => Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10;

function meant(corners) {
  const { width, height } = bounds(corners);
  return corners.length >= 3 && width >= LEAST && height >= LEAST;
}

/** At most as many corners as a part may have, evenly chosen. */
function thin(corners) {
  const kept = Math.min(MOST_CORNERS, corners.length);
  return Array.from({ length: kept }, (_, nth) => corners[Math.floor((nth * corners.length) / kept)]);
}

const around = ({ left, top, width, height }) =>
  `${left},${top} ${left + width},${top} ${left + width},${top + height} ${left},${top + height}`;

/** The rectangle moved or, from its lower right corner, resized by one step; a first one where there was none. */
function changed(part, [right, down], resize) {
  const box = part && bounds(cornersOf(part));
  if (!box || around(box) !== part) return MIDDLE;
  const { left, top, width, height } = box;
  const between = (least, value, most) => Math.min(most, Math.max(least, value));
  if (resize) {
    return {
      ...box,
      width: between(STEP, width + STEP * right, 100 - left),
      height: between(STEP, height + STEP * down, 100 - top),
    };
  }
  return { ...box, left: between(0, left + STEP * right, 100 - width), top: between(0, top + STEP * down, 100 - height) };
}

function sentence({ left, top, width, height }) {
  const [right, bottom] = [left + width, top + height].map(Math.round);
  return `${Math.round(left)} to ${right}% from the left, ${Math.round(top)} to ${bottom}% from the top.`;
}

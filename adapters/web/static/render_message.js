/** Renders messages and image cards: updates the elements of the page from JSON values. No network, no state. */

import { formatPercent, text as localized } from "./messages.js";
import { showRegion } from "./region.js";

export const $ = (selector, root = document) => root.querySelector(selector);

export const clone = (name) => $(`#${name}-template`).content.firstElementChild.cloneNode(true);

/** Shows `text` in `node`, or hides the node if it is empty. Equal text is not written again, or a screen reader repeats it. */
export function write(node, text, target = node) {
  if (target.textContent !== text) target.textContent = text;
  node.hidden = !text;
}

/**
 * Makes the children of `parent` match `items` in order, and keeps the element of each key that exists already:
 * an image stays loaded, a <details> open, a button focused.
 */
export function keyed(parent, items, { key, create, patch }) {
  const keys = items.map((item, index) => String(key(item, index)));
  const present = new Map();
  for (const child of [...parent.children]) {
    if (keys.includes(child.dataset.key)) present.set(child.dataset.key, child);
    else child.remove();
  }
  items.forEach((item, index) => {
    const child = present.get(keys[index]) ?? create(item);
    child.dataset.key = keys[index];
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
    patch(child, item);
  });
}

/** Fills a <select> with [value, text] pairs; the selected value stays selected if it is one of them. */
export function fillSelect(select, pairs) {
  const options = JSON.stringify(pairs);
  if (select.dataset.options === options) return;
  const chosen = select.value;
  select.dataset.options = options;
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** Updates the element of one message. `pictures` maps the numbers of the thread's images to the images. */
export function patchMessage(article, message, pictures) {
  Object.assign(article.dataset, { messageId: message.id, kind: message.kind, final: message.final });
  article.setAttribute("aria-busy", String(!message.final)); // a screen reader waits for the whole reply
  patchAuthor(article, message);
  patchQuote($(".quote", article), message, pictures);
  keyed($(".parts", article), withKeys(message.parts), {
    key: (part) => part.key,
    create: (part) => (part.type === "picture" ? clone("card") : textElement()),
    patch: (element, part) =>
      part.type === "picture" ? patchCard(element, part, message) : patchText(element, part.html),
  });
  write($(".status", article), message.status || (message.final || message.parts.length ? "" : localized("web-thinking")));
  keyed($(".buttons", article), message.buttons.filter(({ action }) => !CARD_ACTIONS.includes(action)), {
    key: ({ action, target }) => `${action} ${target}`,
    create: () => clone("button"),
    patch: patchButton,
  });
}

/**
 * Opens the large view of an image, with its region outlined if there is one. `find` is called to show the image in
 * the conversation; null hides that button.
 */
export function openLightbox(dialog, picture, { find = null, region = "" } = {}) {
  const image = $(".stage img", dialog);
  Object.assign(image, { src: picture.url, alt: picture.alt, width: picture.width, height: picture.height });
  showRegion($(".stage svg", dialog), region, picture);
  dialog.dataset.number = picture.number;
  write($("h2", dialog), localized("web-image", picture));
  patchFacts($("dl", dialog), picture);
  patchDownload($("a", dialog), picture);
  Object.assign($(".find", dialog), { hidden: !find, onclick: find });
  dialog.showModal();
}

const CARD_ACTIONS = ["vary", "edit", "upscale", "redo", "delete"];

/** Adds a key to each part that stays the same while other parts arrive: the second image stays the second. */
function withKeys(parts) {
  const counts = { text: 0, picture: 0 };
  return parts.map((part) => ({ ...part, key: `${part.type} ${counts[part.type]++}` }));
}

function patchAuthor(article, { author, kind }) {
  const avatar = $(".avatar", article);
  write($(".author", article), author);
  if (kind === "bot") return;
  write(avatar, [...author.trim()][0]?.toUpperCase() ?? "?");
  avatar.style.setProperty("--hue", hue(author));
}

/** Returns the hue of a name's colour, in degrees. */
function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

function patchQuote(quote, { about, region }, pictures) {
  quote.hidden = !about;
  if (quote.hidden) return;
  const picture = pictures.get(about);
  const image = $("img", quote);
  Object.assign(quote.dataset, { target: about, region: region ?? "" });
  $(".thumbnail", quote).hidden = !picture?.url;
  if (picture?.url) show(image, picture.url);
  else image.removeAttribute("src");
  showRegion($("svg", quote), region, picture);
  write($(".says", quote), localized(region ? "web-about-region" : "web-about-image", { number: about }));
}

function textElement() {
  const element = document.createElement("div");
  element.className = "words";
  return element;
}

const lastHtml = new WeakMap(); // the value that innerHTML was set to; reading it back returns different markup

function patchText(element, html) {
  if (lastHtml.get(element) === html) return;
  lastHtml.set(element, html);
  element.innerHTML = html; // the server renders the Markdown, without raw HTML
  for (const link of element.querySelectorAll("a")) Object.assign(link, { target: "_blank", rel: "noopener" });
}

function patchButton(button, { action, label, target }) {
  Object.assign(button.dataset, { action, target, testid: action });
  $("use", button).setAttribute("href", `#i-${action}`);
  write($("span", button), label);
}

/** Updates an image card. The style sheet shows and hides its elements by `data-state`. */
function patchCard(card, part, { buttons }) {
  const number = part.number ?? part.picture?.number ?? "";
  Object.assign(card.dataset, { number, state: part.state });
  write($(".badge", card), number && `#${number}`);
  patchProgress(card, part);
  if (part.state === "failed") write($(".failure p", card), part.reason ?? localized("web-image-failed"));
  if (part.state !== "rendered") return $(".picture", card).removeAttribute("src"); // the image may have been deleted

  const { picture } = part;
  const offered = (action) => buttons.some((button) => button.action === action && button.target === String(number));
  patchPicture(card, picture);
  for (const button of card.querySelectorAll("[data-action]")) button.dataset.target = number;
  for (const action of CARD_ACTIONS) $(`[data-action=${action}]`, card).hidden = !offered(action);
  patchDownload($(".download", card), picture);
  $("details", card).hidden = !(picture.prompt || picture.way || picture.notes?.length);
  patchFacts($("dl", card), picture);
}

function patchProgress(card, { state, fraction, note, preview, number }) {
  const bar = $(".bar", card);
  const known = state === "rendering" && fraction !== null;
  const percent = known ? Math.round(fraction * 100) : 0;
  write($(".stage-name", card), stageName(state, known ? fraction : null));
  write($(".note", card), note ?? "");
  bar.classList.toggle("unknown", !known);
  bar.setAttribute("aria-label", localized("web-image", { number: number ?? "" }));
  if (known) bar.setAttribute("aria-valuenow", percent);
  else bar.removeAttribute("aria-valuenow");
  bar.firstElementChild.style.width = known ? `${percent}%` : "";
  if (preview) show($(".preview", card), preview);
}

function stageName(state, fraction) {
  if (state === "queued") return localized("web-in-queue");
  if (fraction === null) return localized("web-generating");
  return localized("web-generating-percent", { percent: formatPercent(fraction) });
}

function patchPicture(card, picture) {
  const { url, alt, width, height } = picture;
  const image = $(".picture", card);
  setRatio($(".frame", card), width, height);
  Object.assign(image, { alt, width, height });
  show(image, url);
  $(".open", card).setAttribute("aria-label", localized("web-enlarge-image", picture));
}

/** Sets `src` only if it changes: setting it again would reload the image. */
function show(image, url) {
  image.hidden = false;
  if (image.getAttribute("src") !== url) image.src = url;
}

/** Sets the aspect ratio of the frame before the image is loaded. */
export function setRatio(frame, width, height) {
  frame.style.aspectRatio = `${width} / ${height}`;
}

function patchDownload(link, { url, number }) {
  link.href = url;
  link.download = `image-${number}.png`;
  link.setAttribute("aria-label", localized("web-download-image", { number }));
}

function patchFacts(list, picture) {
  keyed(list, facts(picture), {
    key: ([term]) => term,
    create: () => {
      const pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      return pair;
    },
    patch: (pair, [term, value]) => {
      write(pair.firstElementChild, term);
      write(pair.lastElementChild, String(value));
    },
  });
}

const ORIGINS = {
  generate: "origin-generate", edit: "origin-edit", vary: "origin-vary", refine: "origin-refine",
  upscale: "origin-upscale", select: "origin-select", upload: "origin-upload",
};
const ORIGINS_WITH_SOURCE = {
  edit: "origin-edit-of", vary: "origin-vary-of", refine: "origin-refine-of", upscale: "origin-upscale-of",
};

/** Returns how an image was made, such as "edit of #1"; `parent` is the number of its source image or null. */
export function origin(operation, parent) {
  const id = (parent && ORIGINS_WITH_SOURCE[operation]) || ORIGINS[operation];
  return id ? localized(id, { parent }) : operation;
}

function facts({ prompt, refined, seed, model, width, height, parent, operation, way, notes }) {
  return [
    [localized("web-prompt"), prompt],
    [localized("web-improved-prompt"), refined],
    [localized("web-origin"), parent && origin(operation, parent)],
    [localized("web-size"), `${width} × ${height}`],
    [localized("web-seed"), seed],
    [localized("web-image-model"), model],
    [localized("web-method"), way],
    [localized("web-notes"), (notes ?? []).join(" ")],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
}

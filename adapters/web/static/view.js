/** Messages and picture cards: values in, page out. Patches what is there; no network, no state of its own. */

import { showPart } from "./part.js";

export const $ = (selector, root = document) => root.querySelector(selector);

export const clone = (name) => $(`#${name}-template`).content.firstElementChild.cloneNode(true);

/** Shows `text` in `node`, or hides the node when there is none. Untouched when equal, so nothing is read out twice. */
export function write(node, text, target = node) {
  if (target.textContent !== text) target.textContent = text;
  node.hidden = !text;
}

/**
 * Makes the children of `parent` match `items` in order, keeping the element of every key that is already there:
 * a picture stays loaded, a <details> open, a button focused.
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

/** Gives a <select> these [value, text] pairs, and leaves alone what is chosen if it is still among them. */
export function fillSelect(select, pairs) {
  const told = JSON.stringify(pairs);
  if (select.dataset.told === told) return;
  const chosen = select.value;
  select.dataset.told = told;
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** Brings one message's element up to date. `pictures` maps each known number to its picture. */
export function patchMessage(article, message, pictures) {
  Object.assign(article.dataset, { messageId: message.id, kind: message.kind, final: message.final });
  article.setAttribute("aria-busy", String(!message.final)); // a screen reader waits for the whole reply
  patchAuthor(article, message);
  patchQuote($(".quote", article), message, pictures);
  keyed($(".parts", article), withKeys(message.parts), {
    key: (part) => part.key,
    create: (part) => (part.type === "picture" ? clone("card") : wordsElement()),
    patch: (element, part) =>
      part.type === "picture" ? patchCard(element, part, message) : patchWords(element, part.html),
  });
  write($(".status", article), message.status || (message.final || message.parts.length ? "" : "Thinking…"));
  keyed($(".buttons", article), message.buttons.filter(({ action }) => !CARD_ACTIONS.includes(action)), {
    key: ({ action, target }) => `${action} ${target}`,
    create: () => clone("button"),
    patch: patchButton,
  });
}

/**
 * Fills the large view of one picture and opens it, with a part of it marked if there is one; `find`, if there is one,
 * goes to it in the conversation.
 */
export function openLightbox(dialog, picture, { find = null, part = "" } = {}) {
  const image = $(".stage img", dialog);
  Object.assign(image, { src: picture.url, alt: picture.alt, width: picture.width, height: picture.height });
  showPart($(".stage svg", dialog), part, picture);
  dialog.dataset.number = picture.number;
  write($("h2", dialog), `Picture #${picture.number}`);
  patchFacts($("dl", dialog), picture);
  patchDownload($("a", dialog), picture);
  Object.assign($(".find", dialog), { hidden: !find, onclick: find });
  dialog.showModal();
}

const CARD_ACTIONS = ["vary", "edit", "upscale", "redo", "delete"];

/** Gives each part a key that outlives the parts that stream in around it: the second picture stays the second. */
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

/** The same colour for the same name, in degrees. */
function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

function patchQuote(quote, { about, part }, pictures) {
  quote.hidden = !about;
  if (quote.hidden) return;
  const picture = pictures.get(about);
  const image = $("img", quote);
  Object.assign(quote.dataset, { target: about, part: part ?? "" });
  $(".thumbnail", quote).hidden = !picture?.url;
  if (picture?.url) show(image, picture.url);
  else image.removeAttribute("src");
  showPart($("svg", quote), part, picture);
  write($(".says", quote), `About #${about}${part ? ", a part of it" : ""}`);
}

function wordsElement() {
  const element = document.createElement("div");
  element.className = "words";
  return element;
}

const lastHtml = new WeakMap(); // what innerHTML was given; reading it back would differ in spelling

function patchWords(element, html) {
  if (lastHtml.get(element) === html) return;
  lastHtml.set(element, html);
  element.innerHTML = html; // the server's own rendering of Markdown, raw HTML off
  for (const link of element.querySelectorAll("a")) Object.assign(link, { target: "_blank", rel: "noopener" });
}

function patchButton(button, { action, label, target }) {
  Object.assign(button.dataset, { action, target, testid: action });
  $("use", button).setAttribute("href", `#i-${action}`);
  write($("span", button), label);
}

/** Which of a card's elements show in which state is the style sheet's business, by `data-state`. */
function patchCard(card, part, { buttons }) {
  const number = part.number ?? part.picture?.number ?? "";
  Object.assign(card.dataset, { number, state: part.state });
  write($(".badge", card), number && `#${number}`);
  patchProgress(card, part);
  if (part.state === "failed") write($(".failure p", card), part.reason ?? "This picture could not be drawn.");
  if (part.state !== "rendered") return $(".picture", card).removeAttribute("src"); // it may have been deleted

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
  write($(".stage-name", card), state === "queued" ? "Waiting for its turn" : known ? `Drawing… ${percent}%` : "Drawing…");
  write($(".note", card), note ?? "");
  bar.classList.toggle("unknown", !known);
  bar.setAttribute("aria-label", `Picture ${number ?? ""}`);
  if (known) bar.setAttribute("aria-valuenow", percent);
  else bar.removeAttribute("aria-valuenow");
  bar.firstElementChild.style.width = known ? `${percent}%` : "";
  if (preview) show($(".preview", card), preview);
}

function patchPicture(card, picture) {
  const { url, alt, width, height } = picture;
  const image = $(".picture", card);
  setRatio($(".frame", card), width, height);
  Object.assign(image, { alt, width, height });
  show(image, url);
  $(".open", card).setAttribute("aria-label", `Enlarge picture ${picture.number}: ${alt}`);
}

/** Sets `src` only when it changes: setting it again would load the picture anew. */
function show(image, url) {
  image.hidden = false;
  if (image.getAttribute("src") !== url) image.src = url;
}

/** Gives the frame a picture's shape before the picture is there. A preview's shape comes from the preview itself. */
export function setRatio(frame, width, height) {
  frame.style.aspectRatio = `${width} / ${height}`;
}

function patchDownload(link, { url, number }) {
  link.href = url;
  link.download = `picture-${number}.png`;
  link.setAttribute("aria-label", `Download picture ${number}`);
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

const ORIGINS = { edit: "edited from", vary: "variation of", refine: "refined from", upscale: "enlarged from", select: "chosen from" };

function facts({ prompt, refined, seed, model, width, height, parent, operation, way, notes }) {
  const origin = parent && `${ORIGINS[operation] ?? "made from"} #${parent}`;
  return [
    ["Prompt", prompt],
    ["Drawn as", refined],
    ["Origin", origin],
    ["Size", `${width} × ${height}`],
    ["Seed", seed],
    ["Model", model],
    ["Made", way],
    ["Notes", (notes ?? []).join(" ")],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
}

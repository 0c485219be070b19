/** The page: the list of conversations, the open conversation, and its events. */

import * as api from "./api.js";
import { createComposer } from "./composer.js";
import { createDialogs } from "./dialogs.js";
import { formatRelative, loadTexts, text as localized } from "./messages.js";
import { createRegionEditor } from "./region_editor.js";
import { $, clone, keyed, openLightbox, patchMessage, setRatio, write } from "./render_message.js";

const AT_BOTTOM = 64; // pixels; the user reads the end of the log if it is closer than this

const log = $("#log");
const scroll = $("#scroll");
const empty = $("#empty");
const lightbox = $("#lightbox");
const regionEditor = createRegionEditor($("#region-editor"));
const composer = createComposer($("#composer"), { submit, notice, regionEditor, onName: localize });
const dialogs = createDialogs({
  current: () => current,
  ensureThread: async () => current ?? createThread(),
  author: () => composer.author,
  title: titleOf,
  notice,
  enlarge: (picture) => openLightbox(lightbox, picture, { find: () => showInLog(picture.number) }),
  onLanguage: localize,
});

let current = null; // id of the open thread
let threads = [];
let unsubscribe = () => {};
let atBottom = true;
let lastTop = 0; // the last scroll position, in pixels
let refreshTimer;
const pictures = new Map(); // number -> picture, of the open thread
const articles = new Map(); // message id -> element
const messages = new Map(); // message id -> message

async function start() {
  await loadTexts(composer.author);
  composer.localize();
  await refreshThreads();
  await open(threadInAddress() ?? threads[0]?.id ?? null);
  if (matchMedia("(hover: hover)").matches) composer.focus(); // on a phone the keyboard would cover the page
}

/** Shows the page again in the language of the user, who may have changed it. */
async function localize() {
  await loadTexts(composer.author);
  composer.localize();
  await refreshThreads();
  const thread = current;
  const stored = thread === null ? [] : await api.listMessages(thread).catch(() => []);
  if (current === thread) stored.forEach(showMessage);
}

/** Shows a thread, or none if it is null, and subscribes to it until another one is opened. */
async function open(thread) {
  if (thread !== null && thread === current) return;
  leave();
  current = thread;
  showThreads();
  if (thread === null) return showEmpty();
  if (threadInAddress() !== thread) history.replaceState(null, "", addressOf(thread));
  try {
    const stored = await api.listMessages(thread);
    if (current !== thread) return;
    stored.forEach(showMessage);
    showEmpty();
  } catch (error) {
    if (current !== thread) return;
    if (error.status === 404) return closeUnknown(error);
    showConnected(false);
  }
  unsubscribe = api.subscribe(thread, { onMessage, onDeleted, onConnection: showConnected });
}

/** Closes a thread that the server does not know. */
function closeUnknown(error) {
  notice(error.message);
  history.replaceState(null, "", location.pathname);
  open(null);
}

function leave() {
  unsubscribe();
  unsubscribe = () => {};
  showConnected(true);
  dialogs.close();
  lightbox.close();
  clear();
  dialogs.setEmpty(true);
  empty.hidden = true;
  setAtBottom(true);
}

function clear() {
  log.replaceChildren();
  articles.clear();
  messages.clear();
  pictures.clear();
  composer.setAbout(null);
}

/** The open thread was deleted, here or in another window. */
function onDeleted() {
  clear();
  showEmpty();
  refreshThreads();
  dialogs.refresh();
}

async function createThread() {
  const thread = await api.createThread();
  history.pushState(null, "", addressOf(thread));
  await open(thread);
  refreshThreads();
  return thread;
}

async function submit(message) {
  notice("");
  if (!message.pictures.length && (await dialogs.runTyped(message.text))) return;
  const thread = current ?? (await createThread());
  await api.send(thread, message);
  toBottom();
}

/** A message has arrived or changed. */
function onMessage(message) {
  const wasFinal = articles.get(message.id)?.dataset.final === "true";
  showMessage(message);
  if (atBottom) toBottom(); // at once: a reply that shrinks looks like the user scrolling up
  if (message.final && !wasFinal) scheduleRefresh();
}

function showMessage(message) {
  const changed = updatePictures(message);
  if (!articles.has(message.id)) {
    articles.set(message.id, clone("message"));
    log.append(articles.get(message.id));
    showEmpty();
  }
  patchMessage(articles.get(message.id), message, pictures);
  if (!changed.size) return;
  for (const other of messages.values()) {
    if (changed.has(other.about)) patchMessage(articles.get(other.id), other, pictures);
  }
  if (lightbox.open && !pictures.has(Number(lightbox.dataset.number))) lightbox.close();
  if (composer.about && changed.has(composer.about) && !pictures.has(composer.about)) {
    notice(localized("web-about-deleted-image", { number: composer.about }));
    composer.setAbout(null);
  }
  dialogs.refresh();
}

/** Updates `pictures` from a message; an image in no message was deleted. Returns the numbers that changed. */
function updatePictures(message) {
  const picturesOf = ({ parts } = { parts: [] }) => parts.filter(({ picture }) => picture).map(({ picture }) => picture);
  const before = picturesOf(messages.get(message.id));
  messages.set(message.id, message);
  const now = picturesOf(message);
  const changed = new Set(now.filter(({ number }) => !pictures.has(number)).map(({ number }) => number));
  for (const picture of now) pictures.set(picture.number, picture);
  for (const { number } of before.filter((old) => !now.some((picture) => picture.number === old.number))) {
    if ([...messages.values()].some((other) => picturesOf(other).some((picture) => picture.number === number))) continue;
    pictures.delete(number);
    changed.add(number);
  }
  return changed;
}

function showEmpty() {
  empty.hidden = articles.size > 0;
  dialogs.setEmpty(articles.size === 0);
}

function showConnected(isConnected) {
  const isReconnected = isConnected && !$("#reconnecting").hidden;
  $("#reconnecting").hidden = isConnected;
  if (isReconnected) checkDeleted();
}

/** Checks whether the thread was deleted while the page had no connection. */
async function checkDeleted() {
  const thread = current;
  const stored = thread && (await api.listMessages(thread).catch(() => null));
  if (stored && current === thread && stored.length === 0 && articles.size) onDeleted();
}

/** Shows a sentence above the message box; an empty text hides it. */
function notice(text) {
  write($("#notice"), text, $("#notice span"));
}

// ---- List of conversations

async function refreshThreads() {
  try {
    threads = await api.listThreads(composer.author);
    showThreads();
  } catch (error) {
    notice(api.sentence(error));
  }
}

/** Reloads the list once for several final messages. */
function scheduleRefresh() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(refreshThreads, 200);
}

function showThreads() {
  keyed($("#threads"), threads, { key: ({ id }) => id, create: () => clone("thread"), patch: patchThread });
  write($("#title"), titleOf());
  document.title = current ? `${titleOf()} · Mini-DALL·E 3` : "Mini-DALL·E 3";
}

function titleOf() {
  return threads.find(({ id }) => id === current)?.title || localized("web-new-conversation");
}

function patchThread(link, { id, title, updated }) {
  link.href = addressOf(id);
  if (id === current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  write($("span", link), title || localized("web-new-conversation"));
  write($("time", link), ago(updated));
}

/** Returns a text such as "5 minutes ago" for a time in Unix seconds. */
function ago(time) {
  const seconds = Math.max(0, Date.now() / 1000 - time);
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const [unit, length] = units.find(([, size]) => seconds >= size) ?? [];
  return unit ? formatRelative(-Math.floor(seconds / length), unit) : localized("web-just-now");
}

const addressOf = (thread) => `#t=${encodeURIComponent(thread)}`;

function threadInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("t");
}

function setDrawer(isOpen) {
  document.body.classList.toggle("drawer-open", isOpen);
  $("#menu").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) $("#new-thread").focus();
}

// ---- Buttons

/** The actions that the page carries out; the server carries out all others, such as vary and stop. */
const ACTIONS = {
  reply: (number) => composer.setAbout(pictures.get(number), "reply"),
  edit: (number) => composer.setAbout(pictures.get(number), "edit"),
  open: (number) => openLightbox(lightbox, pictures.get(number)),
  show: (number, region) => {
    const picture = pictures.get(number);
    if (region && picture) openLightbox(lightbox, picture, { region, find: () => showInLog(number) });
    else cardOf(number)?.scrollIntoView({ block: "center" });
  },
};

const cardOf = (number) => log.querySelector(`.card[data-number="${number}"][data-state=rendered]`);

/** Closes all dialogs and scrolls to the image in the conversation. */
function showInLog(number) {
  lightbox.close();
  dialogs.close();
  const card = cardOf(number);
  card?.scrollIntoView({ block: "center" });
  $(".open", card ?? document)?.focus({ preventScroll: true });
  card?.classList.add("found");
  card?.addEventListener("animationend", () => card.classList.remove("found"), { once: true });
}

async function press(button) {
  const { action, target } = button.dataset;
  button.disabled = true;
  try {
    const { about } = await api.press(current, { author: composer.author, action, target });
    if (about) composer.setAbout(pictures.get(about) ?? { number: about }, "edit");
    else toBottom();
  } catch (error) {
    notice(api.sentence(error));
  } finally {
    button.disabled = false;
  }
}

log.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-action]");
  if (!button) return;
  const action = ACTIONS[button.dataset.action];
  if (action) action(Number(button.dataset.target), button.dataset.region);
  else press(button);
});

$("#examples").addEventListener("click", ({ target }) => {
  const example = target.closest("button");
  if (example) composer.say(example.textContent);
});

$("#new-thread").addEventListener("click", async () => {
  setDrawer(false);
  try {
    if (current === null || articles.size > 0) await createThread(); // an empty conversation is reused
    composer.focus();
  } catch (error) {
    notice(api.sentence(error));
  }
});

$("#threads").addEventListener("click", () => setDrawer(false));
$("#menu").addEventListener("click", () => setDrawer(true));
for (const id of ["#close-drawer", "#scrim"]) {
  $(id).addEventListener("click", () => {
    setDrawer(false);
    $("#menu").focus();
  });
}

$("#notice button").addEventListener("click", () => {
  notice("");
  composer.focus();
});

lightbox.addEventListener("close", () => $(".stage img", lightbox).removeAttribute("src"));
lightbox.addEventListener("click", ({ target }) => {
  if (target === lightbox || target.matches(".stage")) lightbox.close(); // a click outside the image
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || lightbox.open || regionEditor.isOpen || dialogs.isOpen) return;
  if (document.body.classList.contains("drawer-open")) $("#close-drawer").click();
  else composer.setAbout(null);
});

window.addEventListener("hashchange", () => open(threadInAddress() ?? threads[0]?.id ?? null));
window.addEventListener("focus", scheduleRefresh);

// ---- Images that finish loading

// `load` and `error` do not bubble, hence the capture.
log.addEventListener("load", ({ target }) => {
  target.classList.add("loaded");
  if (target.matches(".preview")) setRatio(target.parentElement, target.naturalWidth, target.naturalHeight);
}, true);
log.addEventListener("error", ({ target }) => target.classList.add("loaded"), true); // show the alternative text

// ---- Images dropped on the page

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping"); // the pointer left the window
});
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  composer.addFiles(event.dataTransfer.files);
  composer.focus();
});

// ---- Scrolling with new messages

function setAtBottom(isAtBottom) {
  atBottom = isAtBottom;
  lastTop = scroll.scrollTop;
  $("#latest").hidden = isAtBottom;
}

function toBottom() {
  scroll.scrollTop = scroll.scrollHeight;
  setAtBottom(true);
}

// Only scrolling up leaves the end; a reply that grows while the page scrolls down does not.
scroll.addEventListener("scroll", () => {
  const isNear = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < AT_BOTTOM;
  setAtBottom(isNear || (atBottom && scroll.scrollTop >= lastTop));
});
$("#latest").addEventListener("click", toBottom);

const growth = new ResizeObserver(() => {
  if (atBottom) toBottom();
});
growth.observe(log);
growth.observe(scroll);

start();

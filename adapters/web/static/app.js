/** The page: which conversation is open, what happens in it, and what a click does. */

import * as api from "./api.js";
import { createComposer } from "./composer.js";
import { createDesk } from "./desk.js";
import { createMark } from "./mark.js";
import { $, clone, keyed, openLightbox, patchMessage, setRatio, write } from "./view.js";

const AT_BOTTOM = 64; // pixels; closer than this counts as reading the end
const UNTITLED = "New conversation";

const log = $("#log");
const scroll = $("#scroll");
const empty = $("#empty");
const lightbox = $("#lightbox");
const mark = createMark($("#mark"));
const composer = createComposer($("#composer"), { submit, notice, mark });
const desk = createDesk({
  current: () => current,
  needed: async () => current ?? createThread(),
  author: () => composer.author,
  title: titleOf,
  notice,
  enlarge: (picture) => openLightbox(lightbox, picture, { find: () => find(picture.number) }),
});

let current = null; // id of the open thread
let threads = [];
let unfollow = () => {};
let atBottom = true;
let lastTop = 0; // where the scrolling stood, in pixels
let refreshing; // timer
const pictures = new Map(); // number -> picture, of the open thread
const articles = new Map(); // message id -> element
const messages = new Map(); // message id -> message

async function start() {
  await refreshThreads();
  await open(threadInAddress() ?? threads[0]?.id ?? null);
  if (matchMedia("(hover: hover)").matches) composer.focus(); // on a phone the keyboard would cover the page
}

/** Shows a thread (null: none yet) and follows it until another is opened. */
async function open(thread) {
  if (thread !== null && thread === current) return;
  leave();
  current = thread;
  showThreads();
  if (thread === null) return showEmpty();
  if (threadInAddress() !== thread) history.replaceState(null, "", addressOf(thread));
  try {
    const known = await api.listMessages(thread);
    if (current !== thread) return;
    known.forEach(showMessage);
    showEmpty();
  } catch (error) {
    if (current !== thread) return;
    if (error.status === 404) return forget(error);
    connected(false);
  }
  unfollow = api.follow(thread, { happened, forgotten, connected });
}

/** Forgets a thread that the server does not know. */
function forget(error) {
  notice(error.message);
  history.replaceState(null, "", location.pathname);
  open(null);
}

function leave() {
  unfollow();
  unfollow = () => {};
  connected(true);
  desk.close();
  lightbox.close();
  clear();
  desk.setEmpty(true);
  empty.hidden = true;
  settle(true);
}

function clear() {
  log.replaceChildren();
  articles.clear();
  messages.clear();
  pictures.clear();
  composer.setAbout(null);
}

/** All of the open thread was forgotten, here or in another window. */
function forgotten() {
  clear();
  showEmpty();
  refreshThreads();
  desk.changed();
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
  if (!message.pictures.length && (await desk.typed(message.text))) return;
  const thread = current ?? (await createThread());
  await api.send(thread, message);
  toBottom();
}

/** A message has arrived or changed. */
function happened(message) {
  const wasFinal = articles.get(message.id)?.dataset.final === "true";
  showMessage(message);
  if (atBottom) toBottom(); // now, before a shrinking reply looks like a person scrolling up
  if (message.final && !wasFinal) soonRefreshThreads();
}

function showMessage(message) {
  const changed = keepPictures(message);
  if (!articles.has(message.id)) {
    articles.set(message.id, clone("message"));
    log.append(articles.get(message.id));
    showEmpty();
  }
  patchMessage(articles.get(message.id), message, pictures);
  if (!changed.size) return;
  for (const each of messages.values()) if (changed.has(each.about)) patchMessage(articles.get(each.id), each, pictures);
  if (lightbox.open && !pictures.has(Number(lightbox.dataset.number))) lightbox.close();
  if (composer.about && changed.has(composer.about) && !pictures.has(composer.about)) {
    notice(`Picture #${composer.about} was deleted: what you write is about no picture now.`);
    composer.setAbout(null);
  }
  desk.changed();
}

/** Has `pictures` hold what the messages show: a deleted one is in none of them. The numbers of those that changed. */
function keepPictures(message) {
  const shownBy = ({ parts } = { parts: [] }) => parts.filter(({ picture }) => picture).map(({ picture }) => picture);
  const before = shownBy(messages.get(message.id));
  messages.set(message.id, message);
  const now = shownBy(message);
  const changed = new Set(now.filter(({ number }) => !pictures.has(number)).map(({ number }) => number));
  for (const picture of now) pictures.set(picture.number, picture);
  for (const { number } of before.filter((old) => !now.some((picture) => picture.number === old.number))) {
    if ([...messages.values()].some((each) => shownBy(each).some((picture) => picture.number === number))) continue;
    pictures.delete(number);
    changed.add(number);
  }
  return changed;
}

function showEmpty() {
  empty.hidden = articles.size > 0;
  desk.setEmpty(articles.size === 0);
}

function connected(yes) {
  const again = yes && !$("#reconnecting").hidden;
  $("#reconnecting").hidden = yes;
  if (again) missed();
}

/** Nothing told this page what was forgotten while it was away. */
async function missed() {
  const thread = current;
  const known = thread && (await api.listMessages(thread).catch(() => null));
  if (known && current === thread && known.length === 0 && articles.size) forgotten();
}

/** Tells the person a sentence; an empty one takes the last away. */
function notice(text) {
  write($("#notice"), text, $("#notice span"));
}

// ---- Conversations at the side

async function refreshThreads() {
  try {
    threads = await api.listThreads();
    showThreads();
  } catch (error) {
    notice(api.sentence(error));
  }
}

/** One request for a burst of final messages. */
function soonRefreshThreads() {
  clearTimeout(refreshing);
  refreshing = setTimeout(refreshThreads, 200);
}

function showThreads() {
  keyed($("#threads"), threads, { key: ({ id }) => id, create: () => clone("thread"), patch: patchThread });
  write($("#title"), titleOf());
  document.title = current ? `${titleOf()} · Mini-DALL·E 3` : "Mini-DALL·E 3";
}

function titleOf() {
  return threads.find(({ id }) => id === current)?.title || UNTITLED;
}

function patchThread(link, { id, title, updated }) {
  link.href = addressOf(id);
  if (id === current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  write($("span", link), title || UNTITLED);
  write($("time", link), ago(updated));
}

/** "5 minutes ago", of a time in Unix seconds. */
function ago(time) {
  const seconds = Math.max(0, Date.now() / 1000 - time);
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const [unit, length] = units.find(([, size]) => seconds >= size) ?? [];
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  return unit ? format.format(-Math.floor(seconds / length), unit) : "just now";
}

const addressOf = (thread) => `#t=${encodeURIComponent(thread)}`;

function threadInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("t");
}

function setDrawer(out) {
  document.body.classList.toggle("drawer-open", out);
  $("#menu").setAttribute("aria-expanded", String(out));
  if (out) $("#new-thread").focus();
}

// ---- What a click does

/** The page's own actions; every other one (vary, stop, retry) is the server's. */
const ACTIONS = {
  reply: (number) => composer.setAbout(pictures.get(number), "reply"),
  edit: (number) => composer.setAbout(pictures.get(number), "edit"),
  open: (number) => openLightbox(lightbox, pictures.get(number)),
  show: (number, part) => {
    if (part && pictures.has(number)) openLightbox(lightbox, pictures.get(number), { part, find: () => find(number) });
    else cardOf(number)?.scrollIntoView({ block: "center" });
  },
};

const cardOf = (number) => log.querySelector(`.card[data-number="${number}"][data-state=rendered]`);

/** Leaves whatever lies over the conversation, and goes to the picture in it. */
function find(number) {
  lightbox.close();
  desk.close();
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
  const own = ACTIONS[button.dataset.action];
  if (own) own(Number(button.dataset.target), button.dataset.part);
  else press(button);
});

$("#examples").addEventListener("click", ({ target }) => {
  const example = target.closest("button");
  if (example) composer.say(example.textContent);
});

$("#new-thread").addEventListener("click", async () => {
  setDrawer(false);
  try {
    if (current === null || articles.size > 0) await createThread(); // an empty one is new enough
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
  if (target === lightbox || target.matches(".stage")) lightbox.close(); // beside the picture
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || lightbox.open || mark.open || desk.open) return;
  if (document.body.classList.contains("drawer-open")) $("#close-drawer").click();
  else composer.setAbout(null);
});

window.addEventListener("hashchange", () => open(threadInAddress() ?? threads[0]?.id ?? null));
window.addEventListener("focus", soonRefreshThreads);

// ---- Pictures that arrive

// `load` and `error` do not bubble, hence the capture.
log.addEventListener("load", ({ target }) => {
  target.classList.add("loaded");
  if (target.matches(".preview")) setRatio(target.parentElement, target.naturalWidth, target.naturalHeight);
}, true);
log.addEventListener("error", ({ target }) => target.classList.add("loaded"), true); // shows its alt text

// ---- Pictures dropped anywhere on the page

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping"); // left the window
});
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  composer.addFiles(event.dataTransfer.files);
  composer.focus();
});

// ---- Staying at the end, for whoever is there

function settle(yes) {
  atBottom = yes;
  lastTop = scroll.scrollTop;
  $("#latest").hidden = yes;
}

function toBottom() {
  scroll.scrollTop = scroll.scrollHeight;
  settle(true);
}

// Only the way up leaves the end: a reply that grows while the page scrolls down after it must not.
scroll.addEventListener("scroll", () => {
  const near = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < AT_BOTTOM;
  settle(near || (atBottom && scroll.scrollTop >= lastTop));
});
$("#latest").addEventListener("click", toBottom);

const growth = new ResizeObserver(() => {
  if (atBottom) toBottom();
});
growth.observe(log);
growth.observe(scroll);

start();

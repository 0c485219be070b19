/** The queue page: running jobs, waiting jobs and workers. */

import { formatNumber, formatPercent, formatUnit, loadTexts, text } from "./messages.js";
import { $, clone, keyed, write } from "./render_message.js";
import { storedName } from "./user_name.js";

const RECONNECT_DELAY = 2000; // milliseconds; used when EventSource does not reconnect by itself
const OPERATIONS = {
  edit: "origin-edit", vary: "origin-vary", refine: "origin-refine", upscale: "origin-upscale", select: "origin-select",
};

let queue; // the latest status from the server
let receivedAt = 0; // milliseconds

function subscribe() {
  const source = new EventSource("/api/queue/events");
  source.addEventListener("open", () => showConnected(true));
  source.addEventListener("queue", (event) => {
    queue = JSON.parse(event.data);
    receivedAt = performance.now();
    show();
  });
  source.addEventListener("error", () => {
    showConnected(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(subscribe, RECONNECT_DELAY);
  });
}

function showConnected(isConnected) {
  $("#reconnecting").hidden = isConnected;
}

/** Shows the latest status. The page counts the times on until the next status arrives. */
function show() {
  if (!queue) return;
  const { running, waiting, workers, counts } = queue;
  const passed = (performance.now() - receivedAt) / 1000;
  const empty = !counts.running && !counts.waiting;
  write($("#summary"), empty ? "" : summary(counts));
  write($("#idle"), idleText(workers));
  $("#empty").hidden = !empty;
  list("running", running, (item, job) => patchRunning(item, job, passed));
  list("waiting", waiting, (item, job) => patchWaiting(item, job, passed));
  const hidden = counts.waiting - waiting.length;
  write($("#more"), hidden > 0 ? text("web-and-more", { number: hidden }) : "");
  $("#workers-section").hidden = !workers.length;
  keyed($("#workers"), workers, {
    key: ({ name }, index) => `${name} ${index}`, create: () => clone("worker"), patch: patchWorker,
  });
}

function list(name, jobs, patch) {
  $(`#${name}-section`).hidden = !jobs.length;
  keyed($(`#${name}`), jobs, { key: ({ id }) => id, create: () => clone("job"), patch });
}

function summary({ running, waiting }) {
  if (running && waiting) return text("web-count-both", { count: running, waiting });
  return running ? text("web-count-running", { count: running }) : text("web-count-waiting", { count: waiting });
}

function idleText(workers) {
  if (workers.some(({ slots, problem }) => slots && !problem)) return text("web-idle");
  if (workers.length && workers.every(({ problem }) => problem)) return text("web-idle-no-worker");
  return text("web-model-loading");
}

// ---- Jobs

function patchRunning(item, job, passed) {
  const bar = $(".bar", item);
  const known = job.fraction > 0;
  const percent = Math.round(job.fraction * 100);
  patchJob(item, job, passed);
  item.classList.add("running");
  bar.classList.toggle("unknown", !known);
  bar.setAttribute("aria-label", text("web-image", job));
  if (known) bar.setAttribute("aria-valuenow", percent);
  else bar.removeAttribute("aria-valuenow");
  bar.firstElementChild.style.width = known ? `${percent}%` : "";
  write($(".waited", item), known ? formatPercent(job.fraction) : text("web-starting"));
}

function patchWaiting(item, job, passed) {
  patchJob(item, job, passed);
  item.classList.remove("running");
  write($(".position", item), formatNumber(job.position));
  const id = job.ahead === null ? "web-waits-for-worker" : "web-has-waited";
  write($(".waited", item), text(id, { duration: duration(job.waited + passed) }));
}

function patchJob(item, { number, operation, thread, model, eta }, passed) {
  const name = $(".name", item);
  write(name, text("web-image", { number }));
  if (thread) name.href = `/#t=${encodeURIComponent(thread)}`;
  else name.removeAttribute("href");
  write($(".from", item), [OPERATIONS[operation] && text(OPERATIONS[operation]), model].filter(Boolean).join(" · "));
  write($(".eta", item), eta === null ? "" : estimate(eta - passed));
}

const estimate = (seconds) => 
  seconds < 1 ? text("web-any-moment") : text("web-in-about", { duration: duration(rounded(seconds)) });

/** Rounds an estimate to its precision. */
const rounded = (seconds) => (seconds < 10 ? seconds : seconds < 60 ? 5 * Math.round(seconds / 5) : 60 * Math.round(seconds / 60));

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return formatUnit(whole, "second");
  if (whole < 5400) return formatUnit(Math.round(whole / 60), "minute");
  return formatUnit(Math.round(whole / 3600), "hour");
}

// ---- Workers

function patchWorker(item, { name, model, slots, busy, problem }) {
  const pace = queue.pace[model];
  write($("strong", item), name);
  const paceText = pace && text("web-megapixel-step", { duration: formatPace(pace) });
  write($(".model", item), [model || (problem ? "" : text("web-loading")), paceText].filter(Boolean).join(" · "));
  write($(".problem", item), problem, $(".problem span", item));
  const squares = $(".slots", item);
  squares.setAttribute("aria-label", text("web-slots-busy", { busy, slots }));
  squares.title = squares.getAttribute("aria-label");
  keyed(squares, Array.from({ length: slots }, (_, index) => index), {
    key: (index) => index,
    create: () => document.createElement("span"),
    patch: (square, index) => { square.className = index < busy ? "slot busy" : "slot"; },
  });
}

function formatPace(seconds) {
  if (seconds < 1) return formatUnit(seconds * 1000, "millisecond", { maximumSignificantDigits: 2 });
  return formatUnit(seconds, "second", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

await loadTexts(storedName());
document.title = `${text("web-queue")} · ${document.title}`;
subscribe();
setInterval(show, 1000);

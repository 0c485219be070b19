/** The queue page: running jobs, waiting jobs and workers. */

import { $, clone, keyed, write } from "./render_message.js";

const RECONNECT_DELAY = 2000; // milliseconds; used when EventSource does not reconnect by itself
const OPERATIONS = {
  generate: "", edit: "edit", vary: "variation", refine: "refinement", upscale: "upscale", select: "selection", upload: "upload",
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
  write($("#more"), hidden > 0 ? `… and ${hidden} more.` : "");
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
  const count = running || waiting;
  return `${count} ${count === 1 ? "image" : "images"} ${running ? "rendering" : "waiting"}${running && waiting ? `, ${waiting} waiting` : ""}.`;
}

function idleText(workers) {
  if (workers.some(({ slots, problem }) => slots && !problem)) return "New images start immediately.";
  if (workers.length && workers.every(({ problem }) => problem)) return "No worker can render images at the moment.";
  return "The image model is loading.";
}

// ---- Jobs

function patchRunning(item, job, passed) {
  const bar = $(".bar", item);
  const known = job.fraction > 0;
  const percent = Math.round(job.fraction * 100);
  patchJob(item, job, passed);
  item.classList.add("running");
  bar.classList.toggle("unknown", !known);
  bar.setAttribute("aria-label", `Image ${job.number}`);
  if (known) bar.setAttribute("aria-valuenow", percent);
  else bar.removeAttribute("aria-valuenow");
  bar.firstElementChild.style.width = known ? `${percent}%` : "";
  write($(".waited", item), known ? `${percent}%` : "starting");
}

function patchWaiting(item, job, passed) {
  patchJob(item, job, passed);
  item.classList.remove("running");
  write($(".position", item), String(job.position));
  const reason = job.ahead === null ? "waiting for a worker" : "waiting";
  write($(".waited", item), `${reason} for ${duration(job.waited + passed)}`);
}

function patchJob(item, { number, operation, thread, model, eta }, passed) {
  const name = $(".name", item);
  write(name, `Image #${number}`);
  if (thread) name.href = `/#t=${encodeURIComponent(thread)}`;
  else name.removeAttribute("href");
  write($(".from", item), [OPERATIONS[operation] ?? operation, model].filter(Boolean).join(" · "));
  write($(".eta", item), eta === null ? "" : estimate(eta - passed));
}

const estimate = (seconds) => (seconds < 1 ? "in a moment" : `in about ${duration(rounded(seconds))}`);

/** Rounds an estimate to its precision. */
const rounded = (seconds) => (seconds < 10 ? seconds : seconds < 60 ? 5 * Math.round(seconds / 5) : 60 * Math.round(seconds / 60));

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  return `${Math.round(whole / 3600)} h`;
}

// ---- Workers

function patchWorker(item, { name, model, slots, busy, problem }) {
  const pace = queue.pace[model];
  write($("strong", item), name);
  write($(".model", item), [model || (problem ? "" : "loading…"), pace && `${formatPace(pace)} per megapixel and step`].filter(Boolean).join(" · "));
  write($(".problem", item), problem, $(".problem span", item));
  const squares = $(".slots", item);
  squares.setAttribute("aria-label", `${busy} of ${slots} slots in use`);
  squares.title = squares.getAttribute("aria-label");
  keyed(squares, Array.from({ length: slots }, (_, index) => index), {
    key: (index) => index,
    create: () => document.createElement("span"),
    patch: (square, index) => { square.className = index < busy ? "slot busy" : "slot"; },
  });
}

const formatPace = (seconds) => (seconds < 1 ? `${Number((seconds * 1000).toPrecision(2))} ms` : `${seconds.toFixed(1)} s`);

subscribe();
setInterval(show, 1000);

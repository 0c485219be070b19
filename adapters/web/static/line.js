/** The page of the line: what is drawn now, what waits, and what the workers do. */

import { $, clone, keyed, write } from "./view.js";

const RECONNECT_DELAY = 2000; // milliseconds, where EventSource itself has given up
const DEEDS = {
  generate: "", edit: "a change", vary: "a variation", refine: "a refinement", upscale: "an enlargement",
  select: "a choice", upload: "an upload",
};

let line; // as the server told it last
let told = 0; // when, in milliseconds

function follow() {
  const source = new EventSource("/api/line/events");
  source.addEventListener("open", () => connected(true));
  source.addEventListener("line", (event) => {
    line = JSON.parse(event.data);
    told = performance.now();
    show();
  });
  source.addEventListener("error", () => {
    connected(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, RECONNECT_DELAY);
  });
}

function connected(yes) {
  $("#reconnecting").hidden = yes;
}

/** Shows the line as it should be by now: times go on by themselves until the server tells more. */
function show() {
  if (!line) return;
  const { running, waiting, workers, counts } = line;
  const passed = (performance.now() - told) / 1000;
  const empty = !counts.running && !counts.waiting;
  write($("#summary"), empty ? "" : summary(counts));
  write($("#idle"), idle(workers));
  $("#empty").hidden = !empty;
  list("running", running, (item, job) => patchRunning(item, job, passed));
  list("waiting", waiting, (item, job) => patchWaiting(item, job, passed));
  const unseen = counts.waiting - waiting.length;
  write($("#more"), unseen > 0 ? `… and ${unseen} more.` : "");
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
  const drawn = running ? `${pictures(running)} ${running === 1 ? "is" : "are"} being drawn` : "Nothing is being drawn";
  if (!waiting) return `${drawn}, none waits.`;
  return `${drawn}, ${running ? waiting : pictures(waiting)} ${waiting === 1 ? "waits" : "wait"}.`;
}

const pictures = (count) => `${count} ${count === 1 ? "picture" : "pictures"}`;

function idle(workers) {
  if (workers.some(({ slots, trouble }) => slots && !trouble)) return "Whatever is asked for now is drawn at once.";
  if (workers.length && workers.every(({ trouble }) => trouble)) return "No worker can draw at the moment.";
  return "The picture model is being loaded.";
}

// ---- Jobs

function patchRunning(item, job, passed) {
  const bar = $(".bar", item);
  const known = job.fraction > 0;
  const percent = Math.round(job.fraction * 100);
  patchJob(item, job, passed);
  item.classList.add("runs");
  bar.classList.toggle("unknown", !known);
  bar.setAttribute("aria-label", `Picture ${job.number}`);
  if (known) bar.setAttribute("aria-valuenow", percent);
  else bar.removeAttribute("aria-valuenow");
  bar.firstElementChild.style.width = known ? `${percent}%` : "";
  write($(".waited", item), known ? `${percent}%` : "starting");
}

function patchWaiting(item, job, passed) {
  patchJob(item, job, passed);
  item.classList.remove("runs");
  write($(".position", item), String(job.position));
  write($(".waited", item), `has waited ${duration(job.waited + passed)}`);
}

function patchJob(item, { number, operation, thread, model, eta }, passed) {
  const name = $(".name", item);
  write(name, `Picture #${number}`);
  if (thread) name.href = `/#t=${encodeURIComponent(thread)}`;
  else name.removeAttribute("href");
  write($(".from", item), [DEEDS[operation] ?? operation, model].filter(Boolean).join(" · "));
  write($(".eta", item), eta === null ? "" : forecast(eta - passed));
}

const forecast = (seconds) => (seconds < 1 ? "any moment" : `in about ${duration(rounded(seconds))}`);

/** No more exact than a forecast can be. */
const rounded = (seconds) => (seconds < 10 ? seconds : seconds < 60 ? 5 * Math.round(seconds / 5) : 60 * Math.round(seconds / 60));

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  return `${Math.round(whole / 3600)} h`;
}

// ---- Workers

function patchWorker(item, { name, model, slots, busy, trouble }) {
  const pace = line.pace[model];
  write($("strong", item), name);
  write($(".model", item), [model || (trouble ? "" : "loading…"), pace && `${paced(pace)} a megapixel-step`].filter(Boolean).join(" · "));
  write($(".trouble", item), trouble, $(".trouble span", item));
  const squares = $(".slots", item);
  squares.setAttribute("aria-label", `${busy} of ${slots} slots are busy`);
  squares.title = squares.getAttribute("aria-label");
  keyed(squares, Array.from({ length: slots }, (_, index) => index), {
    key: (index) => index,
    create: () => document.createElement("span"),
    patch: (square, index) => { square.className = index < busy ? "slot busy" : "slot"; },
  });
}

const paced = (seconds) => (seconds < 1 ? `${Number((seconds * 1000).toPrecision(2))} ms` : `${seconds.toFixed(1)} s`);

follow();
setInterval(show, 1000);

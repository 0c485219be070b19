/** The server's JSON API and its live stream. Nothing here touches the page. */

const RETRY_DELAYS = [500, 1500]; // milliseconds; a send is tried once more after each
const RECONNECT_DELAY = 2000; // milliseconds, where EventSource itself has given up

/** The server said no. `message` is its sentence for the person. */
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

export const listThreads = async () => (await request("/api/threads")).threads;
export const createThread = async () => (await request("/api/threads", {})).id;
export const listMessages = async (thread) => (await request(address(thread))).messages;
export const press = (thread, button) => request(address(thread, "buttons"), button);
export const command = (thread, told) => request(address(thread, "commands"), told);
export const wish = (thread, told) => request(address(thread, "wishes"), told);
export const lineage = async (thread) => (await request(address(thread, "lineage"))).nodes;
export const exported = async (thread) => (await answered(address(thread, "export.zip"))).blob();
export const sheetAddress = (thread) => address(thread, "sheet.png");

/** Sends a message; its `id` lets the server see that a repeated try is the same message. */
export async function send(thread, message) {
  for (const delay of RETRY_DELAYS) {
    try {
      return await request(address(thread, "messages"), message);
    } catch (error) {
      if (error instanceof Refused) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
  return request(address(thread, "messages"), message);
}

/**
 * Calls `happened(message)` for every message of the thread and each change, `forgotten()` when nothing of it is there
 * any more. Returns a function that stops it.
 */
export function follow(thread, { happened, forgotten, connected }) {
  let source;
  let timer;
  const stop = () => {
    clearTimeout(timer);
    source?.close();
  };
  const connect = () => {
    source = new EventSource(address(thread, "events"));
    source.addEventListener("open", () => connected(true));
    source.addEventListener("message", (event) => happened(JSON.parse(event.data)));
    source.addEventListener("forgotten", forgotten);
    source.addEventListener("error", () => {
      connected(false);
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, RECONNECT_DELAY);
    });
  };
  const seen = () => { // a browser has six connections to a server, for all its tabs together
    stop();
    if (document.hidden) connected(false);
    else connect();
  };
  document.addEventListener("visibilitychange", seen);
  seen();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    stop();
  };
}

/** A fresh message id. `crypto.randomUUID` exists only on https and localhost. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What to tell the person about an error of any kind. */
export function sentence(error) {
  return error instanceof Refused ? error.message : "The server cannot be reached. Please try again in a moment.";
}

const address = (thread, ...rest) => ["/api/threads", encodeURIComponent(thread), ...rest].join("/");

async function request(path, body) {
  return (await answered(path, body)).json();
}

async function answered(path, body) {
  const response = await fetch(path, body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Refused(error ?? `The server could not do that (error ${response.status}).`, response.status);
}

/** The JSON API of the server and its event stream. Does not touch the page. */

import { text } from "./messages.js";

const RETRY_DELAYS = [500, 1500]; // milliseconds before the second and the third attempt to send
const RECONNECT_DELAY = 2000; // milliseconds; used when EventSource does not reconnect by itself

/** The server refused a request. `message` is its sentence for the user. */
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

export const listThreads = async (author) => (await request(`/api/threads?${new URLSearchParams({ author })}`)).threads;
export const createThread = async () => (await request("/api/threads", {})).id;
export const listMessages = async (thread) => (await request(address(thread))).messages;
export const press = (thread, button) => request(address(thread, "buttons"), button);
export const command = (thread, body) => request(address(thread, "commands"), body);
export const imagine = (thread, body) => request(address(thread, "imagine"), body);
export const lineage = async (thread, author) =>
  (await request(`${address(thread, "lineage")}?${new URLSearchParams({ author })}`)).nodes;
export const loadExport = async (thread) => (await fetchChecked(address(thread, "export.zip"))).blob();
export const sheetAddress = (thread) => address(thread, "sheet.png");

/** Sends a message, up to three times. By its `id` the server knows that a repeated message is the same one. */
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
 * Calls `onMessage(message)` for each message of the thread and each change, `onDeleted()` when the thread was deleted,
 * and `onConnection(isConnected)`. Returns a function that ends the subscription.
 */
export function subscribe(thread, { onMessage, onDeleted, onConnection }) {
  let source;
  let timer;
  const stop = () => {
    clearTimeout(timer);
    source?.close();
  };
  const connect = () => {
    source = new EventSource(address(thread, "events"));
    source.addEventListener("open", () => onConnection(true));
    source.addEventListener("message", (event) => onMessage(JSON.parse(event.data)));
    source.addEventListener("forgotten", onDeleted);
    source.addEventListener("error", () => {
      onConnection(false);
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, RECONNECT_DELAY);
    });
  };
  const onVisibility = () => { // a browser opens at most six connections to a server, for all tabs together
    stop();
    if (document.hidden) onConnection(false);
    else connect();
  };
  document.addEventListener("visibilitychange", onVisibility);
  onVisibility();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    stop();
  };
}

/** Returns a new message id. `crypto.randomUUID` exists only on https and localhost. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the sentence for the user about any error. */
export function sentence(error) {
  return error instanceof Refused ? error.message : text("web-offline");
}

const address = (thread, ...rest) => ["/api/threads", encodeURIComponent(thread), ...rest].join("/");

async function request(path, body) {
  return (await fetchChecked(path, body)).json();
}

async function fetchChecked(path, body) {
  const response = await fetch(path, body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Refused(error ?? text("web-error", { status: response.status }), response.status);
}

// The only module that sends requests to the page's server. Changes wait in a queue that survives a reload, are sent one
// at a time, and are sent again until the server answers; their keys make sure that none is applied twice.

const PULSE_MS = 1000;
const BUSY_PULSE_MS = 300;
const TIMEOUT_MS = 30000;

const listeners = {};
const waiting = []; // resolvers of `settled`: called once the queue is empty
let page = null; // see ``start``
let of = null; // id of the video or run that the server works on; another server refuses requests that name it
let queue = [];
let state = null; // the newest, null until it is there
let sending = false;
let connected = null;
let failing = null; // {message, times}: why and how often the first change of the queue failed; null if it did not

export function on(event, listener) {
  (listeners[event] ??= []).push(listener);
}

function emit(event, ...details) {
  for (const listener of listeners[event] ?? []) listener(...details);
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  const named = of && path !== "state" && path !== "pulse" ? `${path}${path.includes("?") ? "&" : "?"}of=${of}` : path;
  try {
    answer = await fetch(`api/${named}`, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  } catch (error) {
    setConnected("lost");
    throw error;
  }
  if (answer.status === 401) setConnected("signed-out");
  else if (answer.status < 500) setConnected("connected");
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Refused(answer.status, body?.error?.message ?? `the server answered ${answer.status}`);
  }
  return answer;
}

function setConnected(now) {
  if (now !== connected) emit("connection", (connected = now));
}

export async function json(path) {
  return (await ask(path)).json();
}

export async function bytes(path) {
  return (await ask(path)).arrayBuffer();
}

export async function bitmap(path) {
  return createImageBitmap(await (await ask(path)).blob());
}

export async function post(path, body, timeout = TIMEOUT_MS) {
  const headers = { "content-type": "application/json" };
  const signal = AbortSignal.timeout(timeout);
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body), signal })).json();
}

// state

export function version() {
  return state?.version ?? null;
}

export async function refresh() {
  const answer = await json("state");
  if (of && answer.of !== of) {
    location.reload(); // another video or run is served here now
    await new Promise(() => {});
  }
  take(answer);
}

export function take(answer) {
  if (!of) restoreQueue(answer.of);
  emit("state", (state = answer));
}

// Once it is known what the server works on: changes of an earlier visit come first.
function restoreQueue(work) {
  of = work;
  const early = queue;
  queue = [...restored(), ...early];
  for (const entry of early) keep(entry);
  emit("queue", queue);
}

async function pulse() {
  try {
    const now = await json("pulse");
    const changed = now.version !== state?.version || now.server !== state.server || page.busy(now) || page.busy(state);
    if (changed && !sending) await refresh();
    send();
  } catch {
    // the connection's state says so; the next pulse tries again
  }
  setTimeout(pulse, state && page.busy(state) ? BUSY_PULSE_MS : PULSE_MS);
}

// Connect. ``name`` is the queue's name in storage; ``deliver`` sends a change and resolves to the new state; ``retry``
// says which changes are sent once more after a conflict; ``busy`` whether a state is going to change by itself.
export function start({ name, deliver, retry, busy = () => false }) {
  page = { name, deliver, retry, busy };
  emit("queue", queue);
  pulse();
}

// changes

export function push(change) {
  const at = Math.max(Date.now(), (queue.at(-1)?.at ?? 0) + 1);
  const entry = { ...change, at, key: crypto.randomUUID?.() ?? `${at}-${Math.random()}` };
  queue.push(entry);
  keep(entry);
  changed();
  send();
  return entry;
}

export function pending() {
  return queue;
}

// Discard the first change of the queue if it fails once more.
export function discardFirst() {
  if (queue.length) queue[0].unwanted = true;
  send();
}

// Resolves once every change is saved.
export function settled() {
  return queue.length ? new Promise((go) => waiting.push(go)) : Promise.resolve();
}

async function send() {
  if (sending || !state) return;
  sending = true;
  while (queue.length) {
    const entry = queue[0];
    try {
      take(await page.deliver(entry));
      emit("done", entry);
    } catch (error) {
      if (error.status >= 500) setFailing({ message: error.message, times: error.status === 500 ? (failing?.times ?? 0) + 1 : 0 });
      if (isLost(error) && !entry.unwanted) break; // the pulse tries again
      const fresh = await refresh().then(() => true, () => false);
      if (error.status === 409 && !fresh) break;
      if (error.status === 409 && !entry.seenAgain && page.retry(entry)) {
        entry.seenAgain = true;
        continue;
      }
      emit("refused", error.message, entry);
    }
    setFailing(null);
    queue.shift();
    drop(entry);
    changed();
  }
  if (queue.length) keep(queue[0]); // with what is known of it now
  changed();
  sending = false;
}

function setFailing(now) {
  if (now || failing) emit("failing", (failing = now));
}

function isLost(error) {
  return !(error instanceof Refused) || error.status === 401 || error.status >= 500;
}

function changed() {
  emit("queue", queue);
  if (!queue.length) for (const go of waiting.splice(0)) go();
}

// Each change has its own storage key, so that two windows do not overwrite each other's changes. A change that both
// windows send is applied once.

function storageKey(entry) {
  return `${page.name} ${of} ${entry?.key ?? ""}`;
}

function keep(entry) {
  try {
    if (of) localStorage.setItem(storageKey(entry), JSON.stringify(entry));
  } catch {
    // no room or no storage: the queue still lives in this page
  }
}

function drop(entry) {
  try {
    localStorage.removeItem(storageKey(entry));
  } catch {
    // it is not there either
  }
}

function restored() {
  try {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(storageKey()));
    return names.map((name) => JSON.parse(localStorage.getItem(name))).sort((one, other) => one.at - other.at);
  } catch {
    return [];
  }
}

// The only module that talks to the server. Decisions wait in a queue that survives a reload, go out one after the other,
// and are sent again until the server has answered; their keys see to it that none is carried out twice.

const PULSE_MS = 1000;
const TIMEOUT_MS = 30000;
const QUEUE = `board-queue ${location.pathname}`;

const listeners = {};
const queue = restored();
let version = null;
const waiting = []; // for the end of the queue
let server = null;
let sending = false;
let connected = null;

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
  try {
    answer = await fetch(`api/${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  } catch (error) {
    setConnected("lost");
    throw error;
  }
  if (answer.status === 401) setConnected("signed-out");
  else if (answer.status < 500) setConnected("connected");
  if (!answer.ok) {
    const told = await answer.json().catch(() => null);
    throw new Refused(answer.status, told?.error?.message ?? `the server answered ${answer.status}`);
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

export async function picture(frame, width, crop) {
  const part = crop ? `&crop=${crop.join()}` : "";
  return createImageBitmap(await (await ask(`frames/${frame}?width=${width}${part}`)).blob());
}

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

export function preview(request) {
  return post("preview", { ...request, version });
}

// state

export async function refresh() {
  take(await json("state"));
}

function take(state) {
  version = state.version;
  server = state.server;
  emit("state", state);
}

async function pulse() {
  try {
    const told = await json("pulse");
    if ((told.version !== version || told.server !== server) && !sending) await refresh();
    send();
  } catch {
    // said by the connection's state; the next pulse tries again
  }
  setTimeout(pulse, PULSE_MS);
}

export function start() {
  emit("queue", queue);
  pulse();
}

// decisions

// ``told`` is the preview the reviewer saw: if the acts would be others by the time of sending, nothing is done.
export function decide(request, told) {
  push({ path: "act", body: request, decided: told.version, acts: told.acts });
}

export function pending() {
  return queue.length;
}

// Resolves once no decision is under way.
export function settled() {
  return queue.length ? new Promise((go) => waiting.push(go)) : Promise.resolve();
}

export function turn(way) {
  push({ path: "turn", body: { way } });
}

function push(entry) {
  queue.push({ ...entry, key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` });
  keep();
  send();
}

async function send() {
  if (sending || version === null) return;
  sending = true;
  while (queue.length) {
    const entry = queue[0];
    try {
      if (entry.path === "act" && entry.decided !== version && !entry.sent) await checkAgain(entry);
      entry.sent = true;
      take(await post(entry.path, { ...entry.body, version: entry.sentAs ?? version, key: entry.key }));
      emit("done", entry);
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401 || error.status >= 500) {
        entry.sentAs ??= version; // if it was done and only the answer was lost, its key says so
        keep();
        break; // the pulse tries again
      }
      if (error.status === 409) {
        delete entry.sent;
        delete entry.sentAs;
        const fresh = await refresh().then(() => true, () => false);
        if (fresh && !entry.again && entry.path === "act") {
          entry.again = true;
          continue;
        }
      }
      emit("refused", error.message, entry);
      await refresh().catch(() => null);
    }
    queue.shift();
    keep();
  }
  sending = false;
}

// The log has grown since the reviewer decided: go on only if the decision still means the same.
async function checkAgain(entry) {
  const told = await post("preview", { ...entry.body, version });
  if (JSON.stringify(told.acts) !== JSON.stringify(entry.acts)) {
    throw new Refused(400, "Somebody changed these birds meanwhile. Nothing was overwritten: look again.");
  }
  entry.decided = version;
}

function keep() {
  try {
    localStorage.setItem(QUEUE, JSON.stringify(queue));
  } catch {
    // no room or no storage: the queue still lives in this page
  }
  emit("queue", queue);
  if (!queue.length) for (const go of waiting.splice(0)) go();
}

function restored() {
  try {
    return JSON.parse(localStorage.getItem(QUEUE)) ?? [];
  } catch {
    return [];
  }
}

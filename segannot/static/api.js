// The only module that talks to the server. Changes wait in a queue that survives a reload, go out one after the other,
// and are sent again until the server has answered; their keys see to it that none is carried out twice.

const PULSE_MS = 1000;
const BUSY_PULSE_MS = 300;
const TIMEOUT_MS = 20000;
const CHANGE_TIMEOUT_MS = 600000; // undoing thousands of frames
const QUEUE = `segannot-queue ${location.pathname}`;

const listeners = {};
let queue = restored();
let version = null;
let server = null;
let sending = false;
let taskWasBusy = false;
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

// pictures and masks

export async function picture(frame, width) {
  const answer = await ask(`frames/${frame}?width=${width}`);
  return createImageBitmap(await answer.blob());
}

export async function mask(frame) {
  const bytes = await (await ask(`masks/${frame}`)).arrayBuffer();
  const [x, y, width, height] = new Uint32Array(bytes, 0, 4);
  return { x, y, width, height, labels: new Uint8Array(bytes, 16) };
}

export async function nextFrame() {
  return (await ask("next")).json();
}

// state

export async function refresh() {
  take(await (await ask("state")).json());
}

function take(state) {
  version = state.version;
  server = state.server;
  taskWasBusy = busy(state.task);
  emit("state", state);
}

function busy(task) {
  return Boolean(task && (task.state === "running" || task.state === "paused"));
}

async function pulse() {
  try {
    const told = await (await ask("pulse")).json();
    const changed = told.version !== version || told.server !== server || busy(told.task) || taskWasBusy;
    if (changed && !sending) await refresh();
    send();
  } catch {
    // said by the connection's state; the next pulse tries again
  }
  setTimeout(pulse, taskWasBusy ? BUSY_PULSE_MS : PULSE_MS);
}

export function start() {
  emit("queue", queue);
  pulse();
}

// changes

export function change(path, body) {
  const act = { path, body: { ...body, key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` } };
  queue.push(act);
  keep();
  send();
  return act;
}

export function pending() {
  return queue;
}

async function send() {
  if (sending || version === null) return;
  sending = true;
  while (queue.length) {
    const act = queue[0];
    try {
      await post(act);
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401 || error.status >= 500) break; // the pulse tries again
      if (error.status === 409 && act.path === "draw" && !act.again) {
        act.again = true; // drawn while another window changed something: look, then draw it there
        await refresh().catch(() => null);
        continue;
      }
      emit("refused", error.message, act);
      await refresh().catch(() => null);
    }
    queue.shift();
    keep();
  }
  sending = false;
}

async function post(act) {
  const body = JSON.stringify({ ...act.body, version });
  const headers = { "content-type": "application/json" };
  const signal = AbortSignal.timeout(CHANGE_TIMEOUT_MS);
  take(await (await ask(act.path, { method: "POST", headers, body, signal })).json());
  emit("done", act);
}

export async function control(path, body) {
  const headers = { "content-type": "application/json" };
  take(await (await ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json());
}

function keep() {
  try {
    localStorage.setItem(QUEUE, JSON.stringify(queue));
  } catch {
    // no room or no storage: the queue still lives in this page
  }
  emit("queue", queue);
}

function restored() {
  try {
    return JSON.parse(localStorage.getItem(QUEUE)) ?? [];
  } catch {
    return [];
  }
}

// A correction is previewed first: the server says what it would change; Enter or the Apply button applies it.

import * as api from "./api.js";
import { app, byId, listen, say, set } from "./state.js";

let requests = 0; // only the answer to the newest one counts

// Frame or rule at which a correction ends, as chosen under Birds.
export function scope() {
  const chosen = byId("scope").value;
  return chosen === "frame" ? Number(byId("scope-frame").value) : chosen;
}

// Ask the server what a correction would change, and show it in the bar.
export async function preview(correction) {
  const request = { to: scope(), ...correction };
  const mine = ++requests;
  try {
    const answer = await api.preview(request);
    if (mine === requests) set({ preview: { request, answer } });
  } catch (error) {
    if (mine !== requests) return;
    say(error.message, true);
    set({ preview: null });
  }
}

export function apply() {
  if (!app.preview || app.preview.answer.problem) return;
  const { request, answer } = app.preview;
  api.decide({ ...request, why: byId("act-why").value }, answer);
  byId("act-why").value = "";
  set({ preview: null, other: null, drawing: null });
}

// Drop the newest preview, whether the server has answered or not.
export function withdraw() {
  requests++;
  set({ preview: null });
}

export function cancel() {
  withdraw();
  set({ picking: null, drawing: null });
}

listen(() => {
  const { preview: shown } = app;
  byId("preview").hidden = !shown;
  if (!shown) return;
  const { problem, words } = shown.answer;
  byId("preview-words").textContent = problem || words.join("; ");
  byId("preview-words").className = problem ? "bad" : "";
  byId("apply").disabled = Boolean(problem);
});

byId("apply").addEventListener("click", apply);
byId("cancel").addEventListener("click", cancel);
byId("act-why").addEventListener("keydown", (event) => event.key === "Enter" && apply());

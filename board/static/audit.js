// Audit: random moments of named birds, judged correct or wrong; their share estimates the errors that are left.

import * as api from "./api.js";
import { app, byId, clock, goTo, listen, nameOf, say, set } from "./state.js";
import { selectedRow } from "./tracks.js";

let moment = null; // {frame, track}: the one that is asked about

export async function nextMoment() {
  try {
    const seed = Math.floor(Math.random() * 1e6);
    const answer = await api.json(`audit?seed=${seed}`);
    if (!answer.moment) return say("There is no named bird to audit");
    moment = answer.moment;
    goTo(moment.frame);
    set({ selected: moment.track, playing: 0 });
  } catch (error) {
    say(error.message, true);
  }
}

export async function judge(verdict) {
  if (!moment) return;
  const request = { kind: "audit", ...moment, verdict };
  try {
    api.decide(request, await api.preview(request));
    nextMoment();
  } catch (error) {
    say(error.message, true);
  }
}

// Whether the keys K, S and U judge an audited moment now.
export function isAuditing() {
  return moment !== null && byId("audit").hidden === false;
}

listen(() => {
  const { share, low, high, decided, method } = app.server.audit;
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  byId("audit-result").textContent = decided
    ? `${decided} ${decided === 1 ? "moment" : "moments"}, ${percent(share)} wrong (${percent(low)} to ${percent(high)}; ${method}).`
    : "No moments audited yet.";
  const row = moment?.frame === app.frame ? selectedRow() : null;
  byId("audit-question").textContent = row ? `Is this ${nameOf(row)}? Frame ${app.frame}, ${clock(app.frame)}` : "";
  byId("verdicts").hidden = !moment;
});

byId("audit-next").addEventListener("click", nextMoment);
for (const button of document.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => judge(button.dataset.verdict));

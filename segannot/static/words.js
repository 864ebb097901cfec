// Short messages to the annotator, and numbers as people say them.

const line = document.getElementById("message");
let timer = 0;

export function say(text, bad = false) {
  line.textContent = text;
  line.className = bad ? "shown bad" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => (line.className = ""), Math.max(3000, 60 * text.length));
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const pair = (value) => String(value).padStart(2, "0");
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map(pair).join(":");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${parts}.${pair(Math.floor((seconds - whole) * 100))}`;
}

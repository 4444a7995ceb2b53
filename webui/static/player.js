// The player of one call: waveform, play and pause, position, speed, keyboard. The sound itself is the browser's <audio>;
// nothing is loaded before a person presses play, because listening is noted in the journal.

const STEP_S = 5;
const BAR = 3;
const BETWEEN = 2;
const LABEL = 24;

const player = document.querySelector("[data-player]");
const part = (name) => player.querySelector(`[data-part="${name}"]`);
const audio = part("audio");
const seek = part("seek");
const canvas = part("canvas");
const seconds = Number(player.dataset.seconds);
const peaks = Int8Array.from(atob(player.dataset.peaks), (sign) => sign.charCodeAt(0));
const channels = Number(player.dataset.channels);
const gaps = JSON.parse(player.dataset.gaps);
let wanted = 0;
let isPlaced = false;

function timeText(at) {
  const whole = Math.floor(at);
  const two = (figure) => String(figure).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// Loudest and quietest of every column of one side that falls under one bar.
function span(side, first, last) {
  let [low, high] = [0, 0];
  for (let column = first; column < last; column += 1) {
    const at = 2 * (channels * column + side);
    low = Math.min(low, peaks[at]);
    high = Math.max(high, peaks[at + 1]);
  }
  return [low, high];
}

// A quiet line is drawn as large as a loud one; silence stays silence.
function fullScale() {
  return peaks.reduce((most, peak) => Math.max(most, Math.abs(peak)), 12);
}

function drawGaps(pen, width, height, style) {
  for (const gap of gaps) {
    const from = (gap.start_s / seconds) * width;
    const wide = Math.max(3, ((gap.end_s - gap.start_s) / seconds) * width);
    pen.fillStyle = style.getPropertyValue("--wave-gap");
    pen.fillRect(from, 0, wide, height);
    pen.fillStyle = style.getPropertyValue("--wave-gap-edge");
    pen.fillRect(from, 0, wide, 3);
    pen.fillRect(from, height - 3, wide, 3);
  }
}

// One side's bars, around the middle of its row; where there are two, their names stand above them.
function drawSide(side, pen, width, height, style) {
  const columns = peaks.length / (2 * channels);
  const bars = Math.max(1, Math.floor(width / (BAR + BETWEEN)));
  const row = height / channels;
  const named = channels > 1 ? LABEL : 0;
  const middle = row * side + (row + named) / 2;
  const scale = ((row - named) / 2 - 6) / fullScale();
  const played = (wanted / seconds) * width;
  for (let bar = 0; bar < bars; bar += 1) {
    const x = (bar * width) / bars;
    const first = Math.floor((bar * columns) / bars);
    const [low, high] = span(side, first, Math.max(first + 1, Math.floor(((bar + 1) * columns) / bars)));
    const [top, bottom] = [middle - Math.max(1, high * scale), middle + Math.max(1, -low * scale)];
    pen.fillStyle = style.getPropertyValue(x < played ? "--wave-played" : "--wave-rest");
    pen.beginPath();
    pen.roundRect(x, top, BAR, bottom - top, BAR / 2);
    pen.fill();
  }
}

function drawNeedle(pen, width, height, style) {
  const played = (wanted / seconds) * width;
  pen.fillStyle = style.getPropertyValue("--wave-needle");
  if (wanted > 0) pen.fillRect(Math.min(played, width - 2), 0, 2, height);
}

function draw() {
  const { width, height } = canvas.getBoundingClientRect();
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  pen.scale(dense, dense);
  drawGaps(pen, width, height, style);
  for (let side = 0; side < channels; side += 1) drawSide(side, pen, width, height, style);
  drawNeedle(pen, width, height, style);
}

function showPosition() {
  const text = timeText(wanted);
  part("at").textContent = text;
  seek.setAttribute("aria-valuenow", Math.floor(wanted));
  seek.setAttribute(
    "aria-valuetext",
    player.dataset.sayOf.replace("{at}", text).replace("{all}", timeText(seconds)),
  );
  draw();
}

// Before the first play there is no sound to move in: the place is kept and taken then.
function go(to) {
  wanted = Math.min(seconds, Math.max(0, to));
  if (isPlaced) audio.currentTime = wanted;
  showPosition();
}

function toggle() {
  if (audio.paused) audio.play().catch(() => { part("failed").hidden = false; });
  else audio.pause();
}

function showPlaying() {
  player.toggleAttribute("data-playing", !audio.paused);
  part("play").setAttribute("aria-label", audio.paused ? player.dataset.sayPlay : player.dataset.sayPause);
}

function follow() {
  if (isPlaced && !audio.seeking) {
    wanted = Math.min(seconds, audio.currentTime);
    showPosition();
  }
  if (!audio.paused) requestAnimationFrame(follow);
}

function pointTo(event) {
  const box = seek.getBoundingClientRect();
  go(((event.clientX - box.left) / box.width) * seconds);
}

const MOVES = {
  ArrowLeft: () => go(wanted - STEP_S),
  ArrowRight: () => go(wanted + STEP_S),
  Home: () => go(0),
  End: () => go(seconds),
};

// Keys belong to the player unless the person is on something that needs them.
function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const busy = event.target.closest("a, button, input, select, textarea, summary, audio");
  const onlyHere = event.key === "Home" || event.key === "End";
  if (onlyHere && event.target !== seek) return;
  if (event.key === " " && !busy) toggle();
  else if (event.key in MOVES && !event.target.closest("input, select, audio")) MOVES[event.key]();
  else return;
  event.preventDefault();
}

function listen() {
  part("play").addEventListener("click", toggle);
  seek.addEventListener("pointerdown", (event) => {
    seek.setPointerCapture(event.pointerId);
    pointTo(event);
  });
  seek.addEventListener("pointermove", (event) => {
    if (seek.hasPointerCapture(event.pointerId)) pointTo(event);
  });
  for (const choice of player.querySelectorAll("[name=speed]")) {
    choice.addEventListener("change", () => { audio.playbackRate = Number(choice.value); });
  }
  document.addEventListener("keydown", onKey);
  // Not `readyState`: it is there a moment before this event, and the place would be lost to the frame between them.
  audio.addEventListener("loadedmetadata", () => {
    isPlaced = true;
    if (wanted > 0) audio.currentTime = wanted;
  });
  audio.addEventListener("play", () => { part("failed").hidden = true; showPlaying(); follow(); });
  audio.addEventListener("pause", showPlaying);
  audio.addEventListener("ended", showPlaying);
  audio.addEventListener("seeked", follow);
  audio.addEventListener("error", () => { part("failed").hidden = false; });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

audio.controls = false;
audio.hidden = true;
for (const name of ["seek", "controls", "keys"]) part(name).hidden = false;
audio.preservesPitch = true;
listen();
showPosition();

// The playground: one prompt to up to four models, side by side. Its state outlives a reload.

import { ApiError, callApi, followChat, startChat } from "./chat_stream.js";
import { writeSamples } from "./code_samples.js";
import { notify } from "./page.js";

const MOST_MODELS = 4;
const MOST_FILE_BYTES = 20_000_000;

const root = document.querySelector("#playground");
const workspace = root.dataset.workspace;
const jobsPath = root.dataset.jobs;
const stored = `waybill:playground:${workspace}`;
const form = document.querySelector("#prompt-form");
const columns = document.querySelector("#columns");
const fields = ["system", "temperature", "max_tokens", "top_p", "tools", "response_format"];

/** One model's conversation: {model, turns: [{role, content, facts, job, last, error}]}. */
let state = { models: [], settings: {}, conversations: {} };
let attachments = [];
const running = new Map(); // model → AbortController

function load() {
  try {
    state = { ...state, ...JSON.parse(sessionStorage.getItem(stored) ?? "{}") };
  } catch { /* a state that cannot be read is begun anew */ }
  const given = JSON.parse(document.querySelector("#given").textContent);
  if (given.messages) {
    const system = given.messages.find((each) => each.role === "system");
    state = { models: [given.model], settings: { system: textOf(system?.content) }, conversations: {} };
    const turns = given.messages.filter((each) => each.role !== "system");
    const last = turns.at(-1)?.role === "user" ? turns.pop() : null;
    state.conversations[given.model] = turns.map((each) => ({ role: each.role, content: each.content }));
    if (last) form.elements.prompt.value = textOf(last.content);
    history.replaceState(null, "", location.pathname);
  } else if (given.model) {
    if (!state.models.includes(given.model)) state.models = [...state.models, given.model].slice(-MOST_MODELS);
    history.replaceState(null, "", location.pathname);
  }
  if (!state.models.length && given.default_model) state.models = [given.default_model];
  for (const name of fields) if (state.settings[name]) document.querySelector(`#${name}`).value = state.settings[name];
}

function save() {
  for (const name of fields) state.settings[name] = document.querySelector(`#${name}`).value;
  try {
    sessionStorage.setItem(stored, JSON.stringify(state));
  } catch { /* pictures may be larger than the browser keeps: a reload then forgets them */ }
}

function textOf(content) {
  if (typeof content === "string") return content;
  return (content ?? []).filter((part) => part.type === "text").map((part) => part.text).join("\n");
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function draw() {
  columns.replaceChildren(...state.models.map(drawColumn));
  document.querySelector("#add-model").disabled = state.models.length >= MOST_MODELS;
  document.querySelector("#stop").hidden = running.size === 0;
}

function drawColumn(model) {
  const turns = state.conversations[model] ?? [];
  const remove = element("button", { type: "button", className: "quiet", textContent: "Remove", ariaLabel: `Remove ${model}` });
  remove.onclick = () => {
    running.get(model)?.abort();
    state.models = state.models.filter((each) => each !== model);
    save();
    draw();
  };
  const head = element("div", { className: "card-head" }, element("h2", { textContent: model }), remove);
  const list = element("div", { className: "stack" }, ...turns.map((turn, index) => drawTurn(model, turn, index)));
  if (!turns.length) list.append(element("p", { className: "muted", textContent: "No message yet." }));
  const column = element("section", { className: "card stack" }, head, list);
  column.dataset.model = model;
  return column;
}

function drawTurn(model, turn, index) {
  const header = element("header", {}, element("span", { textContent: turn.role }));
  if (turn.job) header.append(element("a", { href: `${jobsPath}/${turn.job}`, textContent: "job" }));
  const body = element("div", { className: "body" });
  body.append(...drawContent(turn));
  const article = element("article", { className: "turn" }, header, body);
  article.dataset.turn = `${model}#${index}`;
  if (turn.facts) article.append(drawFacts(turn.facts));
  return article;
}

function drawContent(turn) {
  const parts = [];
  if (turn.reasoning) {
    const details = element("details", {}, element("summary", { textContent: "Reasoning" }), turn.reasoning);
    parts.push(details);
  }
  const content = typeof turn.content === "string" ? [{ type: "text", text: turn.content }] : turn.content ?? [];
  for (const part of content) {
    if (part.type === "text" && part.text) parts.push(element("div", { textContent: part.text }));
    else if (part.type === "image_url" && part.image_url.url.startsWith("data:")) parts.push(element("img", { src: part.image_url.url, alt: "An attached picture" }));
    else if (part.type === "file") parts.push(element("code", { textContent: part.file.filename ?? "a file" }));
  }
  for (const image of turn.images ?? []) parts.push(element("img", { src: image.image_url.url, alt: "A picture from the model" }));
  for (const call of turn.tool_calls ?? []) parts.push(element("div", {}, element("strong", { textContent: call.function.name }), element("pre", { textContent: call.function.arguments })));
  if (turn.error) parts.push(element("p", { className: "message bad", role: "alert", textContent: turn.error }));
  if (!parts.length && turn.isRunning) parts.push(element("span", { className: "muted pulse", textContent: "Waiting for the first token" }));
  return parts;
}

function drawFacts(facts) {
  const shown = [];
  if (facts.provider) shown.push(facts.provider);
  if (facts.firstTokenMs) shown.push(`first token ${facts.firstTokenMs.toFixed(0)} ms`);
  if (facts.tokens !== undefined) shown.push(`${facts.tokens} tokens`);
  if (facts.cost !== undefined) shown.push(`$${Number(facts.cost.toPrecision(3))}`);
  const line = element("div", { className: "body small muted", textContent: shown.join(" · ") });
  line.setAttribute("data-facts", "");
  return line;
}

/** Draw one turn again, without touching the others: an answer changes many times a second. */
function redraw(model, index) {
  const old = columns.querySelector(`[data-turn="${CSS.escape(`${model}#${index}`)}"]`);
  old?.replaceWith(drawTurn(model, state.conversations[model][index], index));
}

function buildBody(model, turns) {
  const value = (name) => document.querySelector(`#${name}`).value.trim();
  const messages = turns.filter((turn) => !turn.error && (turn.content || turn.tool_calls)).map(({ role, content, tool_calls }) => (tool_calls ? { role, content, tool_calls } : { role, content }));
  const system = value("system");
  const body = { model, messages: system ? [{ role: "system", content: system }, ...messages] : messages };
  for (const name of ["temperature", "max_tokens", "top_p"]) if (value(name)) body[name] = Number(value(name));
  for (const name of ["tools", "response_format"]) if (value(name)) body[name] = readJson(name, value(name));
  return body;
}

function readJson(name, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${name} is no valid JSON: ${error.message}`);
  }
}

function applyChunk(turn, chunk, begun) {
  turn.facts ??= {};
  turn.facts.provider ??= chunk.provider;
  const delta = chunk.choices?.[0]?.delta ?? {};
  if ((delta.content || delta.reasoning) && begun && !turn.facts.firstTokenMs) turn.facts.firstTokenMs = performance.now() - begun;
  if (delta.content) turn.content += delta.content;
  if (delta.reasoning) turn.reasoning = (turn.reasoning ?? "") + delta.reasoning;
  for (const image of delta.images ?? []) (turn.images ??= []).push(image);
  for (const part of delta.tool_calls ?? []) {
    const calls = (turn.tool_calls ??= []);
    const call = (calls[part.index] ??= { id: part.id, type: "function", function: { name: "", arguments: "" } });
    call.function.name += part.function?.name ?? "";
    call.function.arguments += part.function?.arguments ?? "";
  }
  if (chunk.usage) {
    turn.facts.tokens = chunk.usage.total_tokens;
    turn.facts.cost = chunk.usage.cost;
  }
}

async function run(model, index, start) {
  const turn = state.conversations[model][index];
  const abort = new AbortController();
  running.set(model, abort);
  turn.isRunning = true;
  draw();
  let planned = 0;
  const onChunk = (chunk) => {
    applyChunk(turn, chunk, turn.begun);
    planned ||= requestAnimationFrame(() => { planned = 0; redraw(model, index); });
  };
  try {
    await start({ onChunk, signal: abort.signal, onJob: (job) => { turn.job = job; save(); } });
  } catch (error) {
    turn.error = abort.signal.aborted ? "Stopped." : error.message;
  }
  cancelAnimationFrame(planned);
  delete turn.isRunning;
  delete turn.begun;
  running.delete(model);
  save();
  draw();
}

function send(prompt) {
  const content = attachments.length ? [{ type: "text", text: prompt }, ...attachments.map((each) => each.part)] : prompt;
  const bodies = state.models.map((model) => [model, buildBody(model, [...(state.conversations[model] ?? []), { role: "user", content }])]);
  for (const [model, body] of bodies) {
    const turns = (state.conversations[model] ??= []);
    turns.push({ role: "user", content }, { role: "assistant", content: "", begun: performance.now() });
    run(model, turns.length - 1, (handlers) => startChat(workspace, body, handlers));
  }
  attachments = [];
  drawAttachments();
  save();
}

/** Go on with the answers that were under way when the page was left. */
function resume() {
  for (const [model, turns] of Object.entries(state.conversations)) {
    const index = turns.findIndex((turn) => turn.isRunning);
    if (index < 0 || !state.models.includes(model)) continue;
    const { job } = turns[index];
    delete turns[index].begun;
    Object.assign(turns[index], { content: "", reasoning: undefined, images: undefined, tool_calls: undefined });
    if (job) run(model, index, (handlers) => followChat(workspace, job, 0, handlers));
    else { turns[index].error = "The page was left before the call was accepted."; delete turns[index].isRunning; }
  }
}

async function attach(files) {
  for (const file of files) {
    if (file.size > MOST_FILE_BYTES) { notify(`${file.name} is larger than 20 MB.`); continue; }
    const url = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(file);
    });
    const part = file.type.startsWith("image/") ? { type: "image_url", image_url: { url } } : { type: "file", file: { filename: file.name, file_data: url } };
    attachments.push({ name: file.name, part });
  }
  drawAttachments();
}

function drawAttachments() {
  const list = document.querySelector("#attachments");
  list.replaceChildren(...attachments.map((each, index) => {
    const remove = element("button", { type: "button", className: "quiet", textContent: `${each.name} ×`, ariaLabel: `Remove ${each.name}` });
    remove.onclick = () => { attachments.splice(index, 1); drawAttachments(); };
    return remove;
  }));
}

function showProblem(text) {
  const place = document.querySelector("#problem");
  place.textContent = text;
  place.hidden = !text;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { prompt } = form.elements;
  showProblem("");
  if (!prompt.value.trim() && !attachments.length) return showProblem("Write a prompt first.");
  if (!state.models.length) return showProblem("Add a model first.");
  if (running.size) return showProblem("An answer is still under way: wait for it, or stop it.");
  try {
    send(prompt.value);
    prompt.value = "";
  } catch (error) {
    showProblem(error.message);
  }
});
form.elements.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
document.querySelector("#add-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = event.target.elements.model;
  const model = input.value.trim();
  if (!model || state.models.includes(model) || state.models.length >= MOST_MODELS) return;
  state.models.push(model);
  input.value = "";
  save();
  draw();
});
document.querySelector("#clear").addEventListener("click", () => {
  for (const abort of running.values()) abort.abort();
  state.conversations = {};
  save();
  draw();
});
document.querySelector("#stop").addEventListener("click", () => {
  for (const [model, abort] of running) {
    const job = state.conversations[model]?.findLast((turn) => turn.isRunning)?.job;
    if (job) callApi(workspace, "POST", `/jobs/${job}/cancel`).catch((error) => notify(error.message));
    abort.abort();
  }
});
document.querySelector("#files").addEventListener("change", (event) => attach(event.target.files));
root.addEventListener("dragover", (event) => event.preventDefault());
root.addEventListener("drop", (event) => { event.preventDefault(); attach(event.dataTransfer.files); });
document.querySelector("#settings").addEventListener("change", save);

const dialog = document.querySelector("#code-dialog");
document.querySelector("#show-code").addEventListener("click", () => {
  if (!state.models.length) return notify("Add a model first.");
  let samples;
  try {
    const turns = [...(state.conversations[state.models[0]] ?? []), { role: "user", content: form.elements.prompt.value || "Hello" }];
    samples = writeSamples(location.origin, buildBody(state.models[0], turns));
  } catch (error) {
    return showProblem(error.message);
  }
  dialog.querySelector("#samples").replaceChildren(...Object.entries(samples).map(([name, text]) => {
    const copy = element("button", { type: "button", className: "quiet", textContent: "Copy" });
    copy.dataset.copy = text;
    return element("section", { className: "stack" }, element("div", { className: "card-head" }, element("h3", { textContent: name }), copy), element("pre", { textContent: text }));
  }));
  dialog.showModal();
});
document.querySelector("#preset-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const slug = event.target.elements.slug.value.trim();
  try {
    const body = buildBody(state.models[0], [{ role: "user", content: "" }]);
    body.messages = body.messages.filter((each) => each.role === "system");
    await callApi(workspace, "POST", `/presets/${encodeURIComponent(slug)}/chat/completions`, body);
    notify(`Saved as the preset ${slug}.`);
    event.target.reset();
  } catch (error) {
    showProblem(error instanceof ApiError ? error.message : String(error.message));
  }
});

load();
draw();
resume();

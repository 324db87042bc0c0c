// A streamed chat through the API, which goes on after a reload, a lost connection or a restart.

const PREFIX = "/api/v1";
const RETRY_MS = 1000;
const MOST_RETRIES = 30;

/** An error with the message of the API. */
export class ApiError extends Error {
  constructor(status, message, param) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** Call the API as the signed-in person in this workspace; return the response. */
export async function callApi(workspace, method, path, body, signal) {
  const headers = { "X-Waybill-Workspace": workspace };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(PREFIX + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  if (response.ok) return response;
  const text = await response.text();
  let error = {};
  try {
    const parsed = JSON.parse(text);
    error = parsed.error ?? parsed;
  } catch { /* the answer is no JSON: its status has to do */ }
  throw new ApiError(response.status, error.message ?? error.detail ?? `The API answered ${response.status}.`, error.param);
}

/** Yield the server-sent events of a response as {id, event, data}. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: null, event: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("id: ")) event.id = Number(line.slice(4));
        else if (line.startsWith("event: ")) event.event = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      if (event.data) yield event;
    }
  }
}

/** Start a streamed chat. `onJob` is told the id of the job as soon as it is accepted. */
export async function startChat(workspace, body, { onJob, onChunk, signal }) {
  const full = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await callApi(workspace, "POST", "/chat/completions", full, signal);
  const job = response.headers.get("X-Job-Id");
  onJob(job);
  let last = 0;
  try {
    for await (const event of readEvents(response)) {
      if (event.data === "[DONE]") return;
      if (event.id !== null) last = event.id;
      applyChunk(JSON.parse(event.data), onChunk);
    }
  } catch (error) {
    if (signal?.aborted || error instanceof ApiError) throw error;
  }
  // the connection ended before the answer: the job goes on, and so do its events
  await followChat(workspace, job, last, { onChunk, signal });
}

/** Follow a chat that was started before, from the event after `last`. */
export async function followChat(workspace, job, last, { onChunk, signal }) {
  for (let retry = 0; retry < MOST_RETRIES; retry += 1) {
    try {
      const response = await callApi(workspace, "GET", `/jobs/${job}/events?after=${last}`, undefined, signal);
      if (response.status === 204) return;
      for await (const event of readEvents(response)) {
        if (event.id !== null) last = event.id;
        if (event.event === "chunk") applyChunk(JSON.parse(event.data), onChunk);
        else if (event.event === "completed" || event.event === "cancelled") return;
        else if (event.event === "failed" || event.event === "expired") throw new ApiError(0, failureOf(event.data));
        retry = 0;
      }
    } catch (error) {
      if (signal?.aborted || (error instanceof ApiError && error.status < 500)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  throw new ApiError(0, "The connection to Waybill was lost. The job goes on: see its page.");
}

function applyChunk(chunk, onChunk) {
  if (chunk.error) throw new ApiError(0, chunk.error.message ?? "The call failed.");
  onChunk(chunk);
}

function failureOf(data) {
  const event = JSON.parse(data);
  return event.error?.message ?? event.message ?? "The call failed.";
}

// Reads a command as JSON from stdin, runs it with the client, and prints the results as lines of JSON.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import {
  Client,
  Code,
  ErrorReason,
  HeartbeatSchema,
  KootaskError,
  type Task,
  TaskSchema,
  toJson,
  type WatchEvent,
} from "./index.js";

/** The command. Times are in seconds. */
interface Command {
  call: "get" | "wait" | "watch" | "watchAll";
  addr: string;
  taskId: string;
  taskIds?: string[];
  caFile?: string;
  token?: string;
  userId?: string;
  language?: string;
  maxAge?: number;
  failedTaskAsError?: boolean;
  deadline?: number;
  cancelAfterTasks?: number;
  callerTokens?: string[];
}

const types: Record<keyof Command, string> = {
  call: "string",
  addr: "string",
  taskId: "string",
  taskIds: "object",
  caFile: "string",
  token: "string",
  userId: "string",
  language: "string",
  maxAge: "number",
  failedTaskAsError: "boolean",
  deadline: "number",
  cancelAfterTasks: "number",
  callerTokens: "object",
};

function parse(line: string): Command {
  const command = JSON.parse(line) as Command;
  for (const [key, value] of Object.entries(command)) {
    if (types[key as keyof Command] !== typeof value) {
      throw new TypeError(`the command's ${key} is unknown or of another type`);
    }
  }
  const { call, addr, taskId, taskIds } = command;
  const about = call === "watchAll" ? taskIds : taskId;
  if (!["get", "wait", "watch", "watchAll"].includes(call) || addr === undefined || about === undefined) {
    throw new TypeError("the command lacks call, addr, or taskId or taskIds");
  }
  return command;
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function printTask(task: Task): void {
  print({ task: toJson(TaskSchema, task) });
}

/** gRPC's name of a code. Connect spells them differently. */
function codeName(code: Code): string {
  return code === Code.Canceled ? "CANCELLED" : (Code[code] ?? "Unknown").replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
}

function describe(error: KootaskError): object {
  return {
    code: codeName(error.code),
    reason: error.reasonName,
    known: error.reason === ErrorReason.ERROR_REASON_UNSPECIFIED ? "" : ErrorReason[error.reason],
    message: error.rawMessage,
    retryAfterSeconds: error.retryAfterMs === undefined ? null : error.retryAfterMs / 1000,
    requestId: error.requestId,
    metadata: error.metadata,
    violations: error.violations,
    localizedMessage: error.localizedMessage,
  };
}

async function run(command: Command): Promise<void> {
  const { call, addr, taskId, taskIds = [], caFile, callerTokens, cancelAfterTasks, deadline, maxAge, ...rest } = command;
  let asked = 0;
  const callerToken = () => callerTokens?.[Math.min(asked++, callerTokens.length - 1)] ?? "";
  const security = caFile === undefined ? { plaintext: true } : { tls: { ca: readFileSync(caFile) } };
  const client = new Client({ address: addr, ...security, callerToken });
  const options = { ...rest, ...(deadline === undefined ? {} : { timeoutMs: deadline * 1000 }) };
  switch (call) {
    case "get":
      printTask(await client.get(taskId, { ...options, ...(maxAge === undefined ? {} : { maxAgeMs: maxAge * 1000 }) }));
      return print({ end: {} });
    case "wait":
      printTask(await client.wait(taskId, options));
      return print({ end: {} });
    case "watch":
      return await follow(client.events(taskId, options), cancelAfterTasks, () => ({}));
    case "watchAll":
      return await follow(client.watchAll(taskIds, options), cancelAfterTasks, (ids) => ({ taskIds: ids }));
  }
}

/** Prints the events of a watch. `about` returns the keys of a resume that name the tasks. */
async function follow(
  events: AsyncIterable<WatchEvent>,
  cancelAfterTasks: number | undefined,
  about: (taskIds: readonly string[]) => object,
): Promise<void> {
  let tasks = 0;
  for await (const event of events) {
    switch (event.type) {
      case "task":
        printTask(event.task);
        tasks++;
        break;
      case "heartbeat":
        print({ heartbeat: toJson(HeartbeatSchema, event.heartbeat) });
        break;
      case "resume":
        print({ resume: { cause: describe(event.cause), afterSeconds: event.afterMs / 1000, ...about(event.taskIds) } });
        break;
      case "dropped":
        print({ dropped: { taskId: event.error.taskId, ...describe(event.error) } });
        break;
    }
    if (tasks === cancelAfterTasks) {
      break;
    }
  }
  print(tasks === cancelAfterTasks ? { cancelled: {} } : { end: {} });
}

const lines = createInterface({ input: process.stdin });
const ended = new Promise((resolve) => lines.once("close", resolve));
const line = await new Promise<string>((resolve) => {
  lines.once("line", resolve);
  lines.once("close", () => resolve(""));
});
let command: Command;
try {
  command = parse(line);
} catch (error) {
  console.error(String(error));
  process.exit(2);
}
try {
  await run(command);
} catch (error) {
  if (!(error instanceof KootaskError)) {
    throw error;
  }
  print({ failure: describe(error) });
}
// The suite checks that a cancelled watch has left kootask while this process still runs. The process then ends by itself, with
// an open client: finished calls leave nothing behind.
await ended;

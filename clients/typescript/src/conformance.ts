// Reads a command as JSON from stdin, runs it with the client, and prints the results as lines of JSON.
import { createInterface } from "node:readline";
import { Client, Code, ErrorReason, HeartbeatSchema, KootaskError, type Task, TaskSchema, toJson } from "./index.js";

/** The command. Times are in seconds. */
interface Command {
  call: "get" | "watch";
  addr: string;
  taskId: string;
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
  if (!["get", "watch"].includes(command.call) || command.addr === undefined || command.taskId === undefined) {
    throw new TypeError("the command lacks call, addr or taskId");
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
  const { call, addr, taskId, callerTokens, cancelAfterTasks, deadline, maxAge, ...rest } = command;
  let asked = 0;
  const callerToken = () => callerTokens?.[Math.min(asked++, callerTokens.length - 1)] ?? "";
  const client = new Client({ address: addr, plaintext: true, callerToken });
  const options = { ...rest, ...(deadline === undefined ? {} : { timeoutMs: deadline * 1000 }) };
  if (call === "get") {
    printTask(await client.get(taskId, { ...options, ...(maxAge === undefined ? {} : { maxAgeMs: maxAge * 1000 }) }));
    return print({ end: {} });
  }
  let tasks = 0;
  for await (const event of client.events(taskId, options)) {
    switch (event.type) {
      case "task":
        printTask(event.task);
        tasks++;
        break;
      case "heartbeat":
        print({ heartbeat: toJson(HeartbeatSchema, event.heartbeat) });
        break;
      case "resume":
        print({ resume: { cause: describe(event.cause), afterSeconds: event.afterMs / 1000 } });
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

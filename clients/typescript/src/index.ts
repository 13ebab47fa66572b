/**
 * The TypeScript client of kootask: it tells how a KooDrive task stands, and watches one until it is finished.
 *
 * ```ts
 * const client = new Client({ address: "kootask.example:9090", token });
 * for await (const task of client.watch("1534087020903704704")) {
 *   console.log(TaskStatus[task.status]);
 * }
 * ```
 *
 * A watch goes on when the server is redeployed or the connection breaks: it begins anew after the delay that the server asked
 * for, and hands out no task twice. What it cannot go on after it throws as a {@link KootaskError}.
 *
 * A task that failed is a value: its status says so. `failedTaskAsError` makes it an error.
 *
 * @module
 */

// Of the libraries below, what goes with a task: they need not be the user's own dependencies.
export { toJson } from "@bufbuild/protobuf";
export { timestampDate } from "@bufbuild/protobuf/wkt";
export { Code } from "@connectrpc/connect";
export { Client, type ClientOptions, type GetOptions, type WatchOptions } from "./client.js";
export { type Details, KootaskError, type Violation } from "./error.js";
export { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
export {
  type Heartbeat,
  HeartbeatSchema,
  ResultCode,
  type Task,
  TaskSchema,
  TaskStatus,
  TaskType,
} from "./gen/koodrive/task/v1/task_pb.js";
export type { WatchEvent } from "./watch.js";

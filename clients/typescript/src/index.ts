/**
 * The TypeScript client of kootask. It reports the status of KooDrive tasks, once or until they are finished.
 *
 * ```ts
 * const client = new Client({ address: "kootask.example:9090", token });
 * for await (const task of client.watch("1534087020903704704")) {
 *   console.log(TaskStatus[task.status]);
 * }
 * ```
 *
 * A watch continues when the server is redeployed or the connection breaks: it resumes after the delay that the server asks for,
 * and yields no state twice. If it cannot resume, it throws a {@link KootaskError}.
 *
 * {@link Client.watchAll} watches any number of tasks. {@link Client.wait} returns a task once it is finished.
 *
 * A failed task is a value with the status FAILED. `failedTaskAsError` turns it into an error.
 *
 * @module
 */

// The functions that a user needs with a task, so that the libraries below need not be direct dependencies.
export { toJson } from "@bufbuild/protobuf";
export { timestampDate } from "@bufbuild/protobuf/wkt";
export { Code } from "@connectrpc/connect";
export { Client, type ClientOptions, type GetOptions, type WatchAllOptions, type WatchOptions } from "./client.js";
export { type Details, KootaskError, type Violation } from "./error.js";
export type { WatchEvent } from "./event.js";
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

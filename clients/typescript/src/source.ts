import type { CallOptions, Client as Stub } from "@connectrpc/connect";
import type { TaskService, WatchTasksResponse } from "./gen/koodrive/task/v1/task_pb.js";

/** One message of a stream. */
export interface Received {
  /** The task that the event is about. Empty for a heartbeat. */
  readonly id: string;
  readonly event: WatchTasksResponse["event"];
  /** The id of the stream's call in kootask's log. Empty if the source does not know it. */
  readonly requestId: string;
}

/** Opens a stream of the tasks with these ids. */
export type Open = (ids: readonly string[], call: CallOptions) => AsyncIterable<Received>;

/** The contract's limit on the tasks of a stream. */
export const perStream = 100;

/** Opens streams of a single task. It calls WatchTask, which servers without WatchTasks have too. */
export function one(tasks: Stub<typeof TaskService>, failedTaskAsError: boolean): Open {
  return async function* ([id = ""], call) {
    for await (const { event } of tasks.watchTask({ taskId: id, failedTaskAsError }, call)) {
      yield { id, event, requestId: "" };
    }
  };
}

/** Opens streams of up to {@link perStream} tasks. */
export function several(tasks: Stub<typeof TaskService>): Open {
  return async function* (ids, call) {
    let requestId = "";
    const onHeader = (header: Headers) => {
      requestId = header.get("x-request-id") ?? ""; // The header comes before the messages.
    };
    for await (const { event } of tasks.watchTasks({ taskIds: [...ids] }, { ...call, onHeader })) {
      yield { id: event.case === "heartbeat" ? "" : (event.value?.taskId ?? ""), event, requestId };
    }
  };
}

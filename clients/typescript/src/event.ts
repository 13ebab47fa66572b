import type { KootaskError } from "./error.js";
import type { Heartbeat, Task } from "./gen/koodrive/task/v1/task_pb.js";

/** One event of a watch. */
export type WatchEvent =
  /** The task as it is now, then after each change. */
  | { readonly type: "task"; readonly task: Task }
  /** There is no known change. It also says whether KooDrive answers. `taskIds` are the unfinished tasks of the stream. */
  | { readonly type: "heartbeat"; readonly heartbeat: Heartbeat; readonly taskIds: readonly string[] }
  /** `cause` has interrupted the watch of the tasks `taskIds`, which resumes by itself after `afterMs`. */
  | {
      readonly type: "resume";
      readonly cause: KootaskError;
      readonly afterMs: number;
      readonly taskIds: readonly string[];
    }
  /**
   * The watch of the task `error.taskId` has ended before the task was finished. The other tasks are still watched. If
   * `error.retryAfterMs` is set, this task is watched again after that time. Only {@link Client.watchAll} yields it.
   */
  | { readonly type: "dropped"; readonly error: KootaskError };

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  LocalizedMessageSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
import type { DroppedTask, Task } from "./gen/koodrive/task/v1/task_pb.js";

// The domain of kootask's reasons.
const domain = "koodrive.task.v1";

/** The fault of one field of a request. */
export interface Violation {
  readonly field: string;
  /** For programs, for example "RESERVED". */
  readonly reason: string;
  /** For people. */
  readonly description: string;
}

/** The parts of a {@link KootaskError} beside its code and message. */
export type Details = Partial<
  Pick<
    KootaskError,
    "reasonName" | "requestId" | "retryAfterMs" | "metadata" | "violations" | "localizedMessage" | "taskId" | "cause"
  >
>;

/**
 * A failed call. Branch on `reason`, `code` and `retryAfterMs`, and never parse a message.
 *
 * `message` is the whole text: the id of a dropped task, `rawMessage`, the reason, or the code if there is none, and the
 * violations.
 */
export class KootaskError extends Error {
  override readonly name = "KootaskError";
  /** gRPC's code. */
  readonly code: Code;
  /** The cause. ERROR_REASON_UNSPECIFIED if the error is not from kootask, or if its reason is newer than this client. */
  readonly reason: ErrorReason;
  /**
   * The name of the reason, also if it is newer than this client. Empty if the error is not from kootask, but from the
   * connection, a proxy, the caller (deadline, abort) or `callerToken`.
   */
  readonly reasonName: string;
  /**
   * The message without the reason and the violations, for people. If the client's address may be wrong, it begins with the fault,
   * as far as the client finds that out.
   */
  readonly rawMessage: string;
  /**
   * The milliseconds after which calling again may help, from kootask. Undefined if kootask does not say that it helps, and
   * after a broken connection (an error without a reason, whose code is Unavailable), where calling again may help too.
   */
  readonly retryAfterMs: number | undefined;
  /** The id of the call in kootask's log. Empty if the error is not from kootask. */
  readonly requestId: string;
  /** Further details, under the contract's names. For example, resultCode is the code of a failed task. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The faults of the request, if the reason is REQUEST_INVALID. */
  readonly violations: readonly Violation[];
  /** The message in the call's language. Empty without the option `language`. */
  readonly localizedMessage: string;
  /** The id of the task in an event of the type "dropped". Empty for other errors. */
  readonly taskId: string;

  constructor(code: Code, rawMessage: string, details: Details = {}) {
    const { reasonName = "", violations = [], taskId = "" } = details;
    const wrong = violations.map((v) => ` ${v.field}: ${v.reason} ${v.description}`);
    super(
      `${taskId && `task ${taskId}: `}${rawMessage} (${reasonName || (Code[code] ?? code)})${wrong.join("")}`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.code = code;
    this.reason = reasonOf(reasonName);
    this.reasonName = reasonName;
    this.rawMessage = rawMessage;
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId ?? "";
    this.metadata = details.metadata ?? {};
    this.violations = violations;
    this.localizedMessage = details.localizedMessage ?? "";
    this.taskId = taskId;
  }
}

function reasonOf(name: string): ErrorReason {
  const reason: unknown = ErrorReason[name as keyof typeof ErrorReason];
  return typeof reason === "number" ? reason : ErrorReason.ERROR_REASON_UNSPECIFIED;
}

/** Converts the rejection of a call. A KootaskError is returned unchanged. */
export function toError(rejection: unknown): KootaskError {
  if (rejection instanceof KootaskError) {
    return rejection;
  }
  const error = ConnectError.from(rejection);
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === domain);
  const delay = error.findDetails(RetryInfoSchema)[0];
  const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  const broken = isBroken(error);
  return new KootaskError(
    broken ? Code.Unavailable : error.code,
    `${broken ? "no connection: " : ""}${error.rawMessage.trim()}`,
    {
      reasonName: info?.reason ?? "",
      metadata: info?.metadata ?? {},
      requestId: error.findDetails(RequestInfoSchema)[0]?.requestId ?? "",
      retryAfterMs: delay && (delay.retryDelay ? durationMs(delay.retryDelay) : 0),
      violations: violations.map(({ field, reason, description }) => ({ field, reason, description })),
      localizedMessage: error.findDetails(LocalizedMessageSchema)[0]?.message ?? "",
      cause: error.cause,
    },
  );
}

/**
 * Recognises a broken connection, which is Unavailable in gRPC's own libraries. Connect has other codes for it: the code of the
 * HTTP/2 stream, or one that depends on Node's error.
 */
function isBroken(error: ConnectError): boolean {
  if (error.metadata.has("grpc-status")) {
    return false;
  }
  const node = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
  const fromNode = typeof node === "string" && node !== "ERR_HTTP2_STREAM_ERROR";
  return fromNode || error.code === Code.Aborted || error.code === Code.Canceled;
}

/** Reports whether an error may come from the connection or a proxy, and not from kootask. */
export function isOfConnection({ code, reasonName }: KootaskError): boolean {
  return reasonName === "" && [Code.Unavailable, Code.Internal, Code.Unknown, Code.Canceled].includes(code);
}

/** Returns the error of a task that was dropped from the stream of the call `requestId`. */
export function droppedError(dropped: DroppedTask, requestId: string): KootaskError {
  const { taskId, code, reason, message, localizedMessage, metadata, retryDelay } = dropped;
  const retryAfterMs = retryDelay && durationMs(retryDelay);
  return new KootaskError(code, message, {
    reasonName: reason,
    taskId,
    requestId,
    localizedMessage,
    metadata,
    retryAfterMs,
  });
}

/** Returns the error that kootask sends for a failed task. */
export function taskFailed(task: Task): KootaskError {
  return new KootaskError(Code.Aborted, "The task has failed.", {
    reasonName: ErrorReason[ErrorReason.TASK_FAILED],
    metadata: { taskId: task.taskId, resultCode: task.koodriveResultCode },
  });
}

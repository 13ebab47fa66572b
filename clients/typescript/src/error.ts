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

// The domain of kootask's reasons.
const domain = "koodrive.task.v1";

/** One field of a request that is wrong. */
export interface Violation {
  readonly field: string;
  /** For programs, for example "RESERVED". */
  readonly reason: string;
  /** For people. */
  readonly description: string;
}

/** What a {@link KootaskError} may hold beside its code and message. */
export type Details = Partial<
  Pick<KootaskError, "reasonName" | "requestId" | "retryAfterMs" | "metadata" | "violations" | "localizedMessage" | "cause">
>;

/**
 * A call that failed. Branch on `reason`, `code` and `retryAfterMs`, and never parse a message.
 *
 * `message` is the whole text: `rawMessage`, then the reason, or the code if there is none, then the violations.
 */
export class KootaskError extends Error {
  override readonly name = "KootaskError";
  /** gRPC's code. */
  readonly code: Code;
  /** Why. ERROR_REASON_UNSPECIFIED if kootask did not make the error, or with a reason that is newer than this client. */
  readonly reason: ErrorReason;
  /**
   * The reason by its name, also one that is newer than this client. Empty if kootask did not make the error: then the
   * connection did, a proxy, the caller (deadline, abort) or `callerToken`.
   */
  readonly reasonName: string;
  /** What there is to say, for people. */
  readonly rawMessage: string;
  /**
   * After how many milliseconds calling again may help. Undefined: kootask does not say that it does. It says nothing where
   * the connection broke: that is an error without a reason, whose code is Unavailable.
   */
  readonly retryAfterMs: number | undefined;
  /** The call's name in kootask's log. Empty if kootask did not make the error. */
  readonly requestId: string;
  /** Further facts, by the names that the contract gives to them: that of a failed task's code is resultCode. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What is wrong with the request, with the reason REQUEST_INVALID. */
  readonly violations: readonly Violation[];
  /** The message in the language that the call asked for. Empty if it asked for none. */
  readonly localizedMessage: string;

  constructor(code: Code, rawMessage: string, details: Details = {}) {
    const { reasonName = "", violations = [] } = details;
    const wrong = violations.map((v) => ` ${v.field}: ${v.reason} ${v.description}`);
    super(
      `${rawMessage} (${reasonName || (Code[code] ?? code)})${wrong.join("")}`,
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
  }
}

function reasonOf(name: string): ErrorReason {
  const reason: unknown = ErrorReason[name as keyof typeof ErrorReason];
  return typeof reason === "number" ? reason : ErrorReason.ERROR_REASON_UNSPECIFIED;
}

/** Takes apart what a call was rejected with. A KootaskError stays as it is. */
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
 * Tells a broken connection, which is Unavailable in gRPC's own libraries. Connect has other codes for it: that of the HTTP/2
 * stream that went with it, or one that goes by Node's error.
 */
function isBroken(error: ConnectError): boolean {
  if (error.metadata.has("grpc-status")) {
    return false;
  }
  const node = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
  const fromNode = typeof node === "string" && node !== "ERR_HTTP2_STREAM_ERROR";
  return fromNode || error.code === Code.Aborted || error.code === Code.Canceled;
}

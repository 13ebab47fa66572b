import { once } from "node:events";
import { Code } from "@connectrpc/connect";
import { dial, type Endpoint } from "./connection.js";
import { isOfConnection, KootaskError } from "./error.js";

const limitMs = 2_000;

// Node's codes if there is no such port or host. Silence is not among them, because it may be a firewall's, and neither are
// faults of this machine, such as too many open files.
const absent = ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND"];

/**
 * Returns an error with the fault of the address in front of its message, or the error itself if no fault is known. `met` says
 * whether kootask has ever answered there. Takes up to 2 s, or until the signal aborts.
 */
export async function explain(
  failure: KootaskError,
  to: Endpoint,
  met: boolean,
  signal: AbortSignal,
): Promise<KootaskError> {
  let fault: string | undefined;
  if (failure.code === Code.Unimplemented && failure.reasonName === "") {
    fault = `${to.address} is not kootask's gRPC port, or its kootask is older than this client`;
  } else if (!met && isOfConnection(failure)) {
    fault = await probe(to, signal);
  }
  return fault === undefined ? failure : new KootaskError(failure.code, `${fault}: ${failure.rawMessage}`, failure);
}

/** Finds out why there is no connection. It sends a TLS handshake, and nothing else. */
async function probe(to: Endpoint, signal: AbortSignal): Promise<string | undefined> {
  if (signal.aborted) {
    return undefined;
  }
  const socket = dial({ ...to, security: { rejectUnauthorized: false } }); // Nothing is sent that a certificate must protect.
  socket.on("error", () => {}); // Also those after the outcome.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const outcome = await once(socket, "secureConnect", { signal: limit }).then(
    () => "TLS",
    (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : ""),
  );
  socket.destroy();
  if (absent.includes(outcome)) {
    return `nothing listens at ${to.address}`;
  }
  if (to.security === undefined && (outcome === "TLS" || outcome.includes("_ALERT_"))) {
    return `${to.address} speaks TLS, and this client does not (leave out the option plaintext)`;
  }
  if (to.security !== undefined && outcome === "ERR_SSL_WRONG_VERSION_NUMBER") {
    return `${to.address} does not speak TLS, and this client does (set the option plaintext)`;
  }
  return undefined;
}

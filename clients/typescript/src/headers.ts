import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";

/** The credentials and the language of one call. Empty values are not sent. */
export interface Identity {
  readonly token: string;
  readonly userId: string;
  readonly language: string;
  /** Authenticates the caller to kootask. (`token` is for KooDrive.) */
  readonly callerToken: string;
}

/** Returns the metadata of a call. Throws a KootaskError, which does not quote the value, if a value cannot be sent. */
export function toHeaders(identity: Identity): Headers {
  const headers = new Headers({ "user-agent": "kootask-typescript" });
  const { token, userId, language, callerToken } = identity;
  for (const [name, value] of Object.entries({ authorization: token, "x-user-id": userId, language })) {
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new KootaskError(Code.InvalidArgument, `${name} contains characters other than printable ASCII`);
    }
    if (value !== "") {
      headers.set(name, value);
    }
  }
  if (callerToken !== "") {
    headers.set("x-kootask-authorization", `Bearer ${callerToken}`);
  }
  return headers;
}

/** Returns the caller's current token. Rejects with a KootaskError, which does not quote the token. */
export async function askFor(provider: (() => string | Promise<string>) | undefined): Promise<string> {
  let token: string;
  try {
    token = (await provider?.()) ?? "";
  } catch (cause) {
    throw new KootaskError(Code.Unauthenticated, "the provider of the caller's token failed", { cause });
  }
  if (!/^[\x21-\x7e]*$/.test(token)) {
    const message = "the caller's token contains characters other than visible ASCII";
    throw new KootaskError(Code.Unauthenticated, message);
  }
  return token;
}

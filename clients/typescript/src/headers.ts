import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";

/** The credentials and the language of one call. What is empty is not sent. */
export interface Identity {
  readonly token: string;
  readonly userId: string;
  readonly language: string;
  /** By which kootask itself knows the caller: `token` is for KooDrive. */
  readonly callerToken: string;
}

/** Makes the metadata of a call. Throws a KootaskError, which does not quote, if something cannot be sent. */
export function toHeaders(identity: Identity): Headers {
  const headers = new Headers({ "user-agent": "kootask-typescript" });
  const { token, userId, language, callerToken } = identity;
  for (const [name, value] of Object.entries({ authorization: token, "x-user-id": userId, language })) {
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new KootaskError(Code.InvalidArgument, `${name} holds something else than ASCII characters`);
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

/** Asks for the caller's token. Rejects with a KootaskError, which does not quote. */
export async function askFor(provider: (() => string | Promise<string>) | undefined): Promise<string> {
  let token: string;
  try {
    token = (await provider?.()) ?? "";
  } catch (cause) {
    throw new KootaskError(Code.Unauthenticated, "the caller's token could not be had", { cause });
  }
  if (!/^[\x21-\x7e]*$/.test(token)) {
    const message = "the caller's token holds something else than visible ASCII characters";
    throw new KootaskError(Code.Unauthenticated, message);
  }
  return token;
}

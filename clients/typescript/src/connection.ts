import * as net from "node:net";
import * as tls from "node:tls";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

// kootask disconnects clients that ping more often than every 20 s.
const pings = { pingIntervalMs: 30_000, pingTimeoutMs: 10_000 };
const connectTimeoutMs = 5_000;
// As in gRPC's own libraries.
const readMaxBytes = 4 << 20;

/** Where kootask is, and how to connect. */
export interface Endpoint {
  /** host:port, as the caller gave it. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  /** Undefined for plaintext. */
  readonly security: tls.ConnectionOptions | undefined;
}

/** One HTTP/2 connection, made with the first call and again whenever it has broken. */
export class Connection {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly #sessions: Http2SessionManager;

  /** `security` is undefined for plaintext. Throws a TypeError if the address is not host:port. */
  constructor(address: string, security: tls.ConnectionOptions | undefined) {
    const [, bracketed, name, port = ""] = /^(?:\[([^\]/]+)\]|([^:/?#@\s]+)):(\d+)$/.exec(address) ?? [];
    const host = bracketed ?? name;
    if (host === undefined || Number(port) > 0xffff) {
      throw new TypeError("address must be host:port");
    }
    this.endpoint = { address, host, port: Number(port), security };
    const url = `${security ? "https" : "http"}://${address}`;
    this.#sessions = new Http2SessionManager(url, pings, {
      createConnection: () => dial(this.endpoint),
    });
    this.transport = createGrpcTransport({ baseUrl: url, sessionManager: this.#sessions, readMaxBytes });
  }

  /** Closes the connection and fails its calls. */
  close(): void {
    this.#sessions.abort();
  }
}

/** Connects with a time limit: Node itself would wait for minutes. */
export function dial({ host, port, security }: Endpoint): net.Socket {
  const to = { host, port };
  const servername = net.isIP(host) ? {} : { servername: host };
  const socket = security ? tls.connect({ ...servername, ...security, ...to, ALPNProtocols: ["h2"] }) : net.connect(to);
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error(`timed out after ${connectTimeoutMs} ms`), { code: "ETIMEDOUT" }));
  }, connectTimeoutMs);
  socket.once(security ? "secureConnect" : "connect", () => clearTimeout(timer));
  socket.once("close", () => clearTimeout(timer));
  return socket;
}

import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import * as http2 from "node:http2";
import * as net from "node:net";
import { afterEach, mock, test } from "node:test";
import * as tls from "node:tls";
import { Code } from "@connectrpc/connect";
import { Client } from "./client.js";
import type { Endpoint } from "./connection.js";
import { KootaskError } from "./error.js";
import { explain } from "./explain.js";
import { broken, failure } from "./fixture.js";

const nobody = "127.0.0.1:1";
const never = new AbortController().signal;

afterEach(() => {
  mock.restoreAll();
  mock.timers.reset();
});

function endpoint(address: string, security?: tls.ConnectionOptions): Endpoint {
  const { hostname: host, port } = new URL(`tcp://${address}`);
  return { address, host, port: Number(port), security };
}

/** Calls `use` with the address of a server, and ends the server. */
async function serve(server: net.Server, use: (address: string) => Promise<void>): Promise<void> {
  const sockets: net.Socket[] = [];
  server.on("connection", (socket: net.Socket) => sockets.push(socket.on("error", () => {})));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use(`127.0.0.1:${(server.address() as net.AddressInfo).port}`);
  } finally {
    server.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  }
}

/** Makes each kind of call, and returns the beginnings of the errors' messages, up to the first colon and space. */
async function faults(client: Client): Promise<string[]> {
  const list = async () => {
    for await (const event of client.watchAll(["9", "10"])) {
      assert.fail(event.type);
    }
  };
  const results = await Promise.allSettled([client.get("9"), client.wait("9"), list()]);
  client.close();
  return results.map((result) => {
    assert(result.status === "rejected" && result.reason instanceof KootaskError, JSON.stringify(result));
    return result.reason.rawMessage.split(": ")[0] ?? "";
  });
}

test("each call says what is wrong with the address", async () => {
  const three = (fault: string) => [fault, fault, fault];
  for (const plaintext of [true, false]) {
    assert.deepEqual(await faults(new Client({ address: nobody, plaintext })), three(`nothing listens at ${nobody}`));
  }
  // Without a certificate, it answers each handshake with an alert.
  await serve(tls.createServer({}), async (address) => {
    const fault = `${address} speaks TLS, and this client does not (leave out the option plaintext)`;
    assert.deepEqual(await faults(new Client({ address, plaintext: true })), three(fault));
    assert.deepEqual(await faults(new Client({ address })), three("no connection"));
  });
  const web = http2.createServer((_, response) => response.writeHead(404).end());
  await serve(web, async (address) => {
    const fault = `${address} does not speak TLS, and this client does (set the option plaintext)`;
    assert.deepEqual(await faults(new Client({ address })), three(fault));
    const other = `${address} is not kootask's gRPC port, or its kootask is older than this client`;
    assert.deepEqual(await faults(new Client({ address, plaintext: true })), three(other));
  });
  const busy = http2.createServer((_, response) => response.writeHead(503).end());
  await serve(busy, async (address) => {
    assert.deepEqual(await faults(new Client({ address, plaintext: true })), three("HTTP 503"));
  });
  const closing = net.createServer((socket) => socket.destroy());
  await serve(closing, async (address) => {
    assert.deepEqual(await faults(new Client({ address, plaintext: true })), three("no connection"));
    assert.deepEqual(await faults(new Client({ address })), three("no connection"));
  });
});

test("an explained error keeps its parts", async () => {
  const cause = new Error("why");
  const plain = failure(Code.Unavailable, "", { cause, metadata: { a: "1" } });
  const explained = await explain(plain, endpoint(nobody), false, never);
  assert.equal(explained.message, `nothing listens at ${nobody}: No. (Unavailable)`);
  assert.deepEqual([explained.code, explained.cause, explained.metadata], [Code.Unavailable, cause, { a: "1" }]);
});

test("a host that does not exist or cannot be reached is explained, and no other fault of the search", async () => {
  for (const [code, fault] of [
    ["ENOTFOUND", "nothing listens at kootask.test:1: No."],
    ["ENETUNREACH", "nothing listens at kootask.test:1: No."],
    ["EAI_AGAIN", "No."], // The name server does not answer.
    ["EMFILE", "No."],
  ] as const) {
    mock.method(dns, "lookup", (_host: string, _options: object, answer: (error: Error) => void) => {
      setImmediate(answer, Object.assign(new Error(code), { code }));
    });
    const explained = await explain(broken, endpoint("kootask.test:1"), false, never);
    assert.equal(explained.rawMessage, fault, code);
    mock.restoreAll();
  }
});

test("an error that says enough is not explained", async () => {
  for (const [enough, met, signal] of [
    [broken, true, never],
    [broken, false, AbortSignal.abort()],
    [failure(Code.Unavailable, "SERVER_DRAINING"), false, never],
    [failure(Code.DeadlineExceeded), false, never],
    [failure(Code.Unimplemented, "METHOD_NOT_ALLOWED"), true, never],
  ] as const) {
    assert.equal(await explain(enough, endpoint(nobody), met, signal), enough);
  }
  const older = await explain(failure(Code.Unimplemented), endpoint(nobody), true, never);
  assert.match(older.message, /^127.0.0.1:1 is not kootask's gRPC port/);
});

test("the search for the fault ends after 2 s, or with the call, and finds nothing then", async () => {
  mock.timers.enable({ apis: ["setTimeout"] }); // The limit of a connection is later.
  for (const ending of ["call", "limit"]) {
    const limits: number[] = [];
    let controller = new AbortController();
    mock.method(AbortSignal, "timeout", (ms: number) => {
      limits.push(ms);
      return ending === "limit" ? controller.signal : never;
    });
    const search = async (address: string) => {
      const signal = ending === "call" ? controller.signal : never;
      assert.equal(await explain(broken, endpoint(address), false, signal), broken);
    };
    // This server never answers the handshake.
    await serve(
      net.createServer((socket) => socket.once("data", () => controller.abort())),
      search,
    );
    controller = new AbortController();
    mock.method(dns, "lookup", () => controller.abort()); // There is no connection yet.
    await search("kootask.test:1");
    assert.deepEqual(limits, [2_000, 2_000]);
    mock.restoreAll();
  }
});

test("a call that has ended connects no more", async () => {
  const connect = mock.method(net.Socket.prototype, "connect");
  await explain(broken, endpoint(nobody), false, never);
  assert.equal(connect.mock.callCount(), 1);
  await explain(broken, endpoint(nobody), false, AbortSignal.abort());
  assert.equal(connect.mock.callCount(), 1);
});

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

// A ClientHello of TLS 1.2 in one record, in two parts around its 32 random bytes. Every server that speaks TLS answers it,
// if only with an alert.
const HELLO_START: &[u8] = b"\x16\x03\x01\x00\x57\x01\x00\x00\x53\x03\x03";
const HELLO_END: &[u8] = b"\x00\
    \x00\x0c\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\xcc\xa9\xcc\xa8\
    \x01\x00\
    \x00\x1e\
    \x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17\
    \x00\x0b\x00\x02\x01\x00\
    \x00\x0d\x00\x0a\x00\x08\x04\x03\x08\x04\x04\x01\x05\x03";

/// Returns why kootask cannot be reached at an address, if that can be found out within 2 s. It sends no more than the
/// beginning of a TLS handshake.
pub(crate) async fn probe(addr: String, plaintext: bool) -> Option<String> {
    let end = Instant::now() + PROBE_TIMEOUT;
    let Ok(Ok(peer)) = timeout_at(end, TcpStream::connect(&addr)).await else {
        return Some(format!("nothing listens at {addr}"));
    };
    match (timeout_at(end, speaks_tls(peer)).await.ok()??, plaintext) {
        (true, true) => Some(format!("{addr} speaks TLS, and this client does not (leave out Builder::plaintext)")),
        (false, false) => Some(format!("{addr} does not speak TLS, and this client does (call Builder::plaintext)")),
        _ => None,
    }
}

/// Returns why a call is not implemented at an address.
pub(crate) fn not_kootask(addr: &str) -> String {
    format!("{addr} is not kootask's gRPC port, or its kootask is older than this client")
}

/// Reports whether the peer answers a ClientHello with a record of TLS. None: it does not answer.
async fn speaks_tls(mut peer: TcpStream) -> Option<bool> {
    peer.write_all(&[HELLO_START, &[0; 32], HELLO_END].concat()).await.ok()?;
    let mut answer = [0; 2];
    peer.read_exact(&mut answer).await.ok()?;
    Some(matches!(answer, [0x15 | 0x16, 0x03])) // An alert or a handshake.
}

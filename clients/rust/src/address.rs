use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Limit of a probe.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Returns why kootask cannot be reached at an address, if that can be found out within the limit. It sends no more than the
/// beginning of a TLS handshake.
pub(crate) async fn probe(addr: String, plaintext: bool, limit: Duration) -> Option<String> {
    timeout(limit, find(addr, plaintext)).await.ok().flatten() // Silence may be a firewall's.
}

async fn find(addr: String, plaintext: bool) -> Option<String> {
    let peer = match TcpStream::connect(&addr).await {
        Ok(peer) => peer,
        Err(err) => return is_absent(&err).then(|| format!("nothing listens at {addr}")),
    };
    match (speaks_tls(peer).await?, plaintext) {
        (true, true) => Some(format!("{addr} speaks TLS, and this client does not (leave out Builder::plaintext)")),
        (false, false) => Some(format!("{addr} does not speak TLS, and this client does (call Builder::plaintext)")),
        _ => None,
    }
}

/// Reports whether there is no such host or port. Other errors are faults of this machine, such as too many open files.
fn is_absent(err: &io::Error) -> bool {
    let no_host = err.raw_os_error().is_none(); // It is the resolver's error.
    let refusals = [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
    no_host || refusals.contains(&err.kind())
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

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Returns what the probe finds at a peer that sends an answer once a client says something.
    async fn found(answer: &'static [u8], plaintext: bool) -> (String, Option<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let serve = async {
            let mut peer = listener.accept().await.unwrap().0;
            let mut hello = [0; 5];
            peer.read_exact(&mut hello).await.unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
            peer.read_exact(&mut rest).await.unwrap(); // The record is whole.
            peer.write_all(answer).await.unwrap();
        };
        let (found, ()) = tokio::join!(probe(addr.clone(), plaintext, HOUR), serve);
        (addr, found)
    }

    #[tokio::test]
    async fn the_first_bytes_show_the_protocol() {
        let (handshake, alert) = (b"\x16\x03\x03\x00\x7a", b"\x15\x03\x01\x00\x02");
        for (answer, plaintext, fault) in [
            (&handshake[..], true, "speaks TLS, and this client does not (leave out Builder::plaintext)"),
            (alert, true, "speaks TLS, and this client does not (leave out Builder::plaintext)"),
            (b"HTTP/1.1 400", false, "does not speak TLS, and this client does (call Builder::plaintext)"),
            (b"\x00\x00\x06\x04", false, "does not speak TLS, and this client does (call Builder::plaintext)"),
            (alert, false, ""),
            (b"HTTP/1.1 400", true, ""),
            (b"", true, ""),
            (b"", false, ""),
        ] {
            let (addr, found) = found(answer, plaintext).await;
            assert_eq!(found, (!fault.is_empty()).then(|| format!("{addr} {fault}")), "{answer:?}, {plaintext}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_answer_has_no_fault() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = silent.local_addr().unwrap().to_string();
        for plaintext in [true, false] {
            let start = Instant::now();
            let found = timeout(HOUR, probe(addr.clone(), plaintext, PROBE_TIMEOUT)).await;
            assert_eq!((found, start.elapsed().as_secs()), (Ok(None), 2));
        }
        // The same limit without a connection.
        assert_eq!(probe(addr, true, Duration::ZERO).await, None);
    }

    #[test]
    fn only_a_missing_port_or_host_is_absent() {
        for (err, absent) in [
            (io::Error::other("failed to lookup address information"), true),
            (io::Error::from_raw_os_error(24), false), // Too many open files.
        ] {
            assert_eq!(is_absent(&err), absent, "{err}");
        }
    }
}

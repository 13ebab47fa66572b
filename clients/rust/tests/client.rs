//! The behaviour of a client without a server.

use std::{error::Error as _, io, pin::pin, time::Duration};

use kootask::{CallOptions, Client, ClientTlsConfig, Code, Error, ErrorReason, Identity, StreamExt};

fn assert_failed<T>(result: Result<T, Error>, code: Code, text: &str) {
    let Err(error) = result else { panic!("no error") };
    assert_eq!((error.code(), error.reason()), (code, None::<ErrorReason>));
    assert!(error.to_string().contains(text) && !error.to_string().contains("geheim"), "{error}");
}

#[tokio::test]
async fn tokens_do_not_print() {
    let identity = Identity::from_pem("geheim", "geheim");
    let builder = Client::builder("127.0.0.1:1")
        .plaintext()
        .tls(ClientTlsConfig::new().identity(identity))
        .token("geheim")
        .caller_token(async || Ok::<_, Error>("geheim".into()));
    let options = CallOptions::new().token("geheim");
    let printed = format!("{builder:?} {:?} {options:?}", builder.clone().build().unwrap());
    assert!(
        printed.contains("redacted") && !["geheim", "103, 101, 104"].iter().any(|key| printed.contains(key)),
        "{printed}"
    );
}

#[tokio::test]
async fn addresses_are_checked() {
    for addr in ["", "127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:1/x", "a@127.0.0.1:1", "a b:1"] {
        assert_failed(Client::builder(addr).plaintext().build(), Code::InvalidArgument, "address");
    }
    for addr in ["127.0.0.1:1", "[::1]:1", "kootask.example:1"] {
        assert!(Client::builder(addr).plaintext().build().is_ok(), "{addr}");
    }
}

#[test]
fn a_runtime_is_required() {
    assert_failed(Client::builder("127.0.0.1:1").plaintext().build(), Code::InvalidArgument, "runtime");
}

#[tokio::test]
async fn callers_tokens_are_checked() {
    for token in ["geheim\n", "Bearer geheim", "geheim\u{a0}"] {
        let builder = Client::builder("127.0.0.1:1").plaintext();
        let client = builder.caller_token(async move || Ok::<_, Error>(token.to_owned())).build().unwrap();
        assert_failed(client.get("9").await, Code::Unauthenticated, "the caller's token");
        assert_failed(client.watch("9").next().await.unwrap(), Code::Unauthenticated, "the caller's token");
    }
    let builder = Client::builder("127.0.0.1:1").plaintext();
    let client = builder.caller_token(async || Err(io::Error::other("the file is gone"))).build().unwrap();
    let error = client.get("9").await.unwrap_err();
    assert!(error.source().unwrap().is::<io::Error>());
    assert_failed(Err::<(), _>(error), Code::Unauthenticated, "the file is gone");
}

#[tokio::test]
async fn headers_are_checked() {
    let client = Client::builder("127.0.0.1:1").plaintext().token("geheim\n").build().unwrap();
    assert_failed(client.get("9").await, Code::InvalidArgument, "authorization");
    let options = CallOptions::new().token("").user_id("ü");
    assert_failed(client.get_with("9", options).await, Code::InvalidArgument, "x-user-id");
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let client = Client::builder("127.0.0.1:1").plaintext().build().unwrap();
    let text = "nothing listens at 127.0.0.1:1: transport error";
    assert_failed(client.get("9").await, Code::Unavailable, text);
    assert_failed(client.wait("9").await, Code::Unavailable, text);
    let mut tasks = pin!(client.watch("9"));
    assert_failed(tasks.next().await.unwrap(), Code::Unavailable, text);
    assert!(tasks.next().await.is_none());
    let mut events = pin!(client.watch_all((0..250).map(|id| id.to_string())));
    assert_failed(events.next().await.unwrap(), Code::Unavailable, text);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn timeouts_of_any_length_are_kept() {
    let client = Client::builder("127.0.0.1:1").plaintext().build().unwrap();
    let timeout = |timeout| CallOptions::new().timeout(timeout).max_age(Duration::MAX);
    assert_failed(client.get_with("9", timeout(Duration::ZERO)).await, Code::DeadlineExceeded, "timeout");
    assert_failed(client.get_with("9", timeout(Duration::MAX)).await, Code::Unavailable, "refused");
}

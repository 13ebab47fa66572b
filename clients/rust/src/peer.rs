use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
    transport::{Channel, Error},
};

/// Peer is the connection to an address. An answer that is not gRPC, such as that of an HTTP port or of a proxy, becomes the
/// status that gRPC names for its HTTP status. tonic alone takes the body of such an answer for a message.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Channel);

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async { Ok(as_grpc(answer.await?)) })
    }
}

fn as_grpc(answer: http::Response<Body>) -> http::Response<Body> {
    let kind = answer.headers().get(http::header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return answer;
    }
    Status::new(code(answer.status()), format!("the answer is not gRPC, but HTTP {}", answer.status())).into_http()
}

/// Returns the code of an HTTP status, by gRPC's http-grpc-status-mapping.md.
fn code(status: http::StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_not_grpc_have_a_code() {
        for (kind, status, code) in [
            ("application/grpc", 200, None),
            ("application/grpc+proto", 503, None),
            ("application/json", 404, Some(Code::Unimplemented)),
            ("text/html", 502, Some(Code::Unavailable)),
            ("text/html", 200, Some(Code::Unknown)),
        ] {
            let answer =
                http::Response::builder().status(status).header("content-type", kind).body(Body::empty()).unwrap();
            let got = Status::from_header_map(as_grpc(answer).headers()).map(|status| status.code());
            assert_eq!(got, code, "{kind}, {status}");
        }
    }
}

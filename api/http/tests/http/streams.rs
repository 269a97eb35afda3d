//! Streams of the API: they end with their token, and a token has a bounded number of them.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use slipway_types::Role;
use tower::ServiceExt as _;

use crate::rest::run;
use crate::server::Server;

/// Asks for a stream, and gives the answer before its body.
async fn open(server: &Server, token: &str, path: &str) -> Response<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_no_other() {
    let server = Server::start().await;
    server.application("shop").await;
    run(&server, "shop").await;
    for path in ["/api/v1/runs/shop%231/events", "/api/v1/runs/shop%231/log/stream"] {
        let token = server.token("ci", Some(Role::Reader), None, vec![]).await;
        let (ours, others) = (open(&server, &token, path).await, open(&server, &server.admin, path).await);
        assert_eq!((ours.status().as_u16(), others.status().as_u16()), (200, 200), "{path}");
        server.call(&server.admin, Method::DELETE, "/api/v1/tokens/ci", None).await.is(204);
        let all = async |answer: Response<Body>, limit: Duration| {
            tokio::time::timeout(limit, to_bytes(answer.into_body(), usize::MAX)).await
        };
        assert!(all(ours, Duration::from_secs(30)).await.is_ok(), "{path} goes on");
        assert!(all(others, Duration::from_millis(200)).await.is_err(), "{path} ends for others too");
    }
}

#[tokio::test]
async fn a_token_has_a_bounded_number_of_streams() {
    let server = Server::start().await;
    server.application("shop").await;
    run(&server, "shop").await;
    let other = server.token("other", Some(Role::Reader), None, vec![]).await;
    let path = "/api/v1/runs/shop%231/events";
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(open(&server, &server.admin, path).await);
    }
    assert!(streams.iter().all(|answer| answer.status() == 200));
    let refused = server.get(path).await;
    let refused = refused.problem(429, "too_many_requests");
    assert_eq!(refused["detail"], "more than 50 streams of this token are open", "{refused}");
    assert_eq!(open(&server, &other, path).await.status(), 200);
    drop(streams);
    assert_eq!(open(&server, &server.admin, path).await.status(), 200);
}

#[tokio::test]
async fn a_composition_whose_body_never_ends_is_given_up() {
    let server = Server::with(|options| options.compose_timeout_ms = 100).await;
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::post("/api/v1/bundles").header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {}", server.admin)).body(body).unwrap();
    let refused = server.send(request).await.problem(503, "timed_out");
    assert_eq!(refused["detail"], "no answer within compose_timeout_ms = 100", "{refused}");
}

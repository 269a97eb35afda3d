//! What a service must hold to beside: it believes nobody without proof.

use chrono::{TimeDelta, Utc};

use super::{Options, Report, probe};
use crate::answer::Answer;
use crate::http::{Channel, Claim, Purpose, Reply, SigningKey, SubmitRequest};
use crate::receiver::ReceiverError;

pub(super) async fn run(channel: &Channel, options: &Options, report: &mut Report) {
    let (submission, manifests) = probe::submission(&options.key, options.first_generation, "unproven");
    let Ok(request) = SubmitRequest::new(submission, &manifests) else {
        return report.skip("unsigned_request_is_refused", "the probe is no text");
    };
    let body = match serde_json::to_vec(&request) {
        Ok(body) => body,
        Err(error) => return report.skip("unsigned_request_is_refused", &error.to_string()),
    };
    for (name, claim) in claims(channel.key(), &body) {
        let reply = channel.send(Purpose::Submit, body.clone(), &claim).await;
        let holds = matches!(&reply, Ok(reply) if matches!(reply.status, 401 | 403));
        report.verdict(name, holds, || format!("wanted HTTP 401 or 403, got {}", show(&reply)));
    }
    malformed(channel, report).await;
    altered_manifest(channel, request, report).await;
}

/// Claims that prove nothing about `body`.
fn claims(key: &SigningKey, body: &[u8]) -> Vec<(&'static str, Claim)> {
    let now = Utc::now();
    let good = key.sign(Purpose::Submit, body, now);
    let wrong = "0123456789abcdef0123456789abcdef".to_owned().into();
    let other = |id: &str| SigningKey::new(id, &wrong).map(|key| key.sign(Purpose::Submit, body, now));
    let mut longer = body.to_vec();
    longer.push(b' ');
    let hour = TimeDelta::hours(1);
    let mut claims = vec![
        ("unsigned_request_is_refused", Claim::default()),
        ("signature_without_time_is_refused", Claim { time: None, ..good.clone() }),
        ("signature_for_another_body_is_refused", key.sign(Purpose::Submit, &longer, now)),
        ("signature_for_another_purpose_is_refused", key.sign(Purpose::Observe, body, now)),
        ("moved_time_is_refused", Claim { time: Some((now.timestamp() + 1).to_string()), ..good }),
        ("replayed_request_is_refused", key.sign(Purpose::Submit, body, now - hour)),
        ("request_from_the_future_is_refused", key.sign(Purpose::Submit, body, now + hour)),
    ];
    claims.extend(other(key.id()).map(|claim| ("signature_of_another_key_is_refused", claim)));
    claims.extend(other("nobody").map(|claim| ("unknown_key_is_refused", claim)));
    claims
}

async fn malformed(channel: &Channel, report: &mut Report) {
    let body = b"{\"submission\":".to_vec();
    let claim = channel.key().sign(Purpose::Submit, &body, Utc::now());
    let reply = channel.send(Purpose::Submit, body, &claim).await;
    let holds = matches!(&reply, Ok(reply) if reply.status == 400);
    report.verdict("malformed_body_is_400", holds, || format!("wanted HTTP 400, got {}", show(&reply)));
}

/// The bytes of a manifest must be those of its digest.
async fn altered_manifest(channel: &Channel, mut request: SubmitRequest, report: &mut Report) {
    request.manifests.values_mut().for_each(|text| *text = text.replace("unproven", "altered!"));
    let got = channel.ask::<Answer>(Purpose::Submit, &request).await;
    let holds = matches!(got, Ok(Answer::Rejected { .. }));
    report.verdict("altered_manifest_is_rejected", holds, || format!("wanted rejected, got {got:?}"));
}

fn show(reply: &Result<Reply, ReceiverError>) -> String {
    match reply {
        Ok(reply) => {
            let said: String = String::from_utf8_lossy(&reply.body).chars().take(200).collect();
            format!("HTTP {}: {said}", reply.status)
        }
        Err(error) => error.to_string(),
    }
}

//! Webhooks as a forge would send them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{App, Server};

impl App {
    /// What a webhook with this body is signed with: the header `X-Slipway-Signature`.
    pub fn signature(&self, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.webhook_secret.as_bytes());
        let mac = mac.expect("a key of any length").chain_update(body).finalize().into_bytes();
        format!("sha256={}", hex::encode(mac))
    }
}

impl Server {
    /// Tells of a push by the generic webhook; gives the delivery's id.
    pub fn tell(&self, app: &App, git_ref: &str, commit: &str) -> String {
        let body = format!("{{\"ref\": \"{git_ref}\", \"commit\": \"{commit}\"}}");
        let signature = app.signature(body.as_bytes());
        let headers = [("Content-Type", "application/json"), ("X-Slipway-Signature", signature.as_str())];
        let answer = self.request("POST", &format!("/hooks/{}/generic", app.name), &headers, body.as_bytes());
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["delivery"].as_str().expect("an id").to_owned()
    }

    /// Stores a secret.
    pub fn set_secret(&self, name: &str, value: &str) {
        let file = self.scratch().join("secret");
        std::fs::write(&file, value).expect("a file");
        let file = file.to_str().expect("a path");
        drop(self.cli(&["secret", "set", name, "--from-file", file]).ok());
    }
}

//! Access tokens: 256 random bits, stored as their SHA-256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use slipway_records::{Records, RecordsError, TokenRow};
use slipway_types::{Digest, Principal};

/// What every token starts with, so that scanners find leaked ones.
pub const TOKEN_PREFIX: &str = "slw_";
/// Length of a token, in characters: the prefix and 43 of base64url.
pub const TOKEN_CHARS: usize = 47;
/// Use is noted at most once in this time, in seconds.
const TOUCH_SECONDS: i64 = 60;

/// Why a token lets nobody in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no such token.
    #[error("the token is not known here: check for typing errors, or ask an administrator for one")]
    Unknown,
    /// Its time is over.
    #[error("the token `{name}` expired at {at}: ask an administrator for a new one")]
    Expired {
        /// Its name.
        name: String,
        /// When it ended.
        at: DateTime<Utc>,
    },
    /// It was revoked.
    #[error("the token `{name}` was revoked")]
    Revoked {
        /// Its name.
        name: String,
    },
    /// The records failed; says nothing about the token.
    #[error("tokens cannot be looked up now")]
    Records(#[from] RecordsError),
}

/// A new token, shown once, and the hash to store.
pub fn new_token() -> (SecretString, Digest) {
    let plain = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let hash = hash(&plain);
    (SecretString::from(plain), hash)
}

/// The hash under which a token is stored.
pub fn hash(plain: &str) -> Digest {
    Digest::of(plain)
}

/// Whether this can be a token: all are written alike.
pub fn is_token(plain: &str) -> bool {
    let of_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    plain.len() == TOKEN_CHARS && plain.starts_with(TOKEN_PREFIX) && plain.bytes().all(of_base64url)
}

/// Who holds this token at `now`. Notes the use, at most once a minute.
pub async fn authenticate(
    records: &dyn Records,
    plain: &str,
    now: DateTime<Utc>,
) -> Result<Principal, AuthError> {
    if !is_token(plain) {
        return Err(AuthError::Unknown);
    }
    // Looked up by hash: the time it takes says nothing about tokens that exist.
    let found = records.read().await?.token_by_hash(&hash(plain)).await?;
    let row = found.ok_or(AuthError::Unknown)?;
    admit(records, row, now).await
}

/// Who is let in by a token at `now`, found by whatever stands for it. Notes the use, at most once a minute.
pub async fn admit(records: &dyn Records, row: TokenRow, now: DateTime<Utc>) -> Result<Principal, AuthError> {
    if row.revoked_at.is_some() {
        return Err(AuthError::Revoked { name: row.name });
    }
    if let Some(at) = row.expires_at.filter(|at| *at <= now) {
        return Err(AuthError::Expired { name: row.name, at });
    }
    let is_noted = row.last_used_at.is_some_and(|at| now - at < TimeDelta::seconds(TOUCH_SECONDS));
    if !is_noted && let Err(error) = touch(records, &row, now).await {
        // The holder is who they are, whether this is noted or not.
        tracing::warn!(token = %row.id, %error, "the use of a token could not be noted");
    }
    Ok(principal(row))
}

async fn touch(records: &dyn Records, row: &TokenRow, now: DateTime<Utc>) -> Result<(), RecordsError> {
    let mut tx = records.begin().await?;
    tx.token_used(row.id, now).await?;
    tx.commit().await
}

fn principal(row: TokenRow) -> Principal {
    let TokenRow { id, name, person, break_glass, application_id, .. } = row;
    match (row.role, row.pulls_for, application_id) {
        (None, Some(_), Some(application)) => Principal::Puller { id, name, application },
        (Some(role), ..) => {
            let person = person.unwrap_or_else(|| name.clone());
            Principal::Token { id, name, person, role, application: application_id, break_glass }
        }
        (None, ..) => Principal::Build { id, name, grants: row.grants },
    }
}

#[cfg(test)]
mod tests {
    use chrono::DurationRound;
    use secrecy::ExposeSecret;
    use slipway_records::NewToken;
    use slipway_types::Role;

    use super::*;
    use crate::provider::tests::database;

    #[test]
    fn tokens_have_the_promised_form_and_differ() {
        let ((a, hash_a), (b, _)) = (new_token(), new_token());
        let (a, b) = (a.expose_secret(), b.expose_secret());
        assert!(a.len() == TOKEN_CHARS && a.starts_with("slw_") && a != b);
        assert!(a[4..].bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c)), "{a}");
        assert_eq!(hash(a), hash_a);
    }

    #[tokio::test]
    async fn a_token_lets_in_until_it_expires_or_is_revoked() {
        let (_directory, records) = database().await;
        let (plain, hash) = new_token();
        let plain = plain.expose_secret();
        // Use is noted to the minute: half a minute later is still the same one.
        let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap();
        let mut tx = records.begin().await.unwrap();
        let new = NewToken {
            name: "ci".into(),
            hash,
            person: None,
            break_glass: false,
            role: Some(Role::Developer),
            application_id: None,
            pulls_for: None,
            grants: vec![],
            expires_at: Some(now + TimeDelta::hours(1)),
        };
        let row = tx.token_insert(new).await.unwrap();
        tx.commit().await.unwrap();

        let who = authenticate(&*records, plain, now).await.unwrap();
        assert!(who.name() == "ci" && who.may(Role::Developer, None) && !who.may(Role::Admin, None));
        let used = records.read().await.unwrap().token_by_hash(&hash).await.unwrap().unwrap().last_used_at;
        authenticate(&*records, plain, now + TimeDelta::seconds(30)).await.unwrap();
        let again = records.read().await.unwrap().token_by_hash(&hash).await.unwrap().unwrap().last_used_at;
        assert!(used.is_some() && used == again);

        for wrong in ["", "slw_", &plain[1..], &format!("{plain}x"), new_token().0.expose_secret()] {
            assert!(matches!(authenticate(&*records, wrong, now).await, Err(AuthError::Unknown)), "{wrong}");
        }
        let late = now + TimeDelta::hours(1);
        assert!(matches!(authenticate(&*records, plain, late).await, Err(AuthError::Expired { .. })));
        let mut tx = records.begin().await.unwrap();
        assert!(tx.token_revoke(row.id, now).await.unwrap());
        tx.commit().await.unwrap();
        assert!(matches!(authenticate(&*records, plain, now).await, Err(AuthError::Revoked { .. })));
    }
}

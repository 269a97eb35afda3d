//! Passwords that nobody chose.

use secrecy::SecretString;

/// A new password: 128 random bits as 32 hex digits, which need no quoting anywhere.
pub fn generated() -> SecretString {
    SecretString::from(format!("{:032x}", rand::random::<u128>()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, other) = (generated(), generated());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), 32);
        assert!(one.expose_secret().bytes().all(|b| b.is_ascii_hexdigit()));
    }
}

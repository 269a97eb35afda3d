//! Every word that comes from outside as text: whatever it is, reading it ends in an answer, and what was
//! read says itself in a form that reads the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use slipway_types::environment::Window;
use slipway_types::label::{LabelKey, LabelValue};
use slipway_types::name::CheckName;
use slipway_types::selection::{Author, BranchName, CommitPrefix, LabelSelector, VersionRange};
use slipway_types::{
    Address, ApplicationName, CommitId, Digest, GitRef, ImageReference, Platform, RegistryPrefix,
    SecretReference, Version,
};

/// The longest text that an error may be: none repeats all of what was sent.
const ERROR_MAX: usize = 2_000;

/// Pieces that the formats are made of, and some that break things.
const PIECES: [&str; 62] = [
    "main",
    "shop",
    "a",
    "0",
    "1",
    "1.4.2",
    "1.x",
    "*",
    "^",
    "~",
    ">=",
    "<",
    "=",
    "!=",
    "==",
    ",",
    " ",
    "||",
    "-",
    "-rc.1",
    "+b",
    "v",
    "in",
    "notin",
    "(",
    ")",
    "!",
    "/",
    "//",
    "..",
    ".",
    ":",
    "@",
    "#",
    "_",
    "%2f",
    "\\",
    "\0",
    "\n",
    "sha256:",
    "secret://",
    "builtin",
    "mon",
    "fri",
    "daily",
    "-fri",
    "09:00",
    "25:61",
    "-17:00",
    "+08:00",
    "+99:99",
    "linux",
    "/amd64",
    "refs/heads/",
    "refs/tags/",
    "source/",
    "é",
    "💥",
    "\u{202e}",
    "18446744073709551616",
    "localhost:5000",
    "registry.example",
];

fn text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned);
    let piece = prop_oneof![8 => known, 1 => any::<String>(), 1 => "[a-z]{1,70}"].boxed();
    prop_oneof![
        30 => prop::collection::vec(piece.clone(), 0..12).prop_map(|pieces| pieces.concat()),
        1 => (piece, 1_000..20_000_usize).prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

fn reads<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr + Display + Debug + PartialEq,
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let said = value.to_string();
            let again = said.parse::<T>();
            let same = again.is_ok_and(|again| again == value);
            prop_assert!(same, "{text:?} was read as {value:?}, which says {said:?}");
        }
        Err(error) => {
            let said = error.to_string();
            prop_assert!(!said.is_empty() && said.len() <= ERROR_MAX, "an error of {} bytes", said.len());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_chosen_by(text in text()) {
        reads::<Version>(&text)?;
        reads::<VersionRange>(&text)?;
        reads::<LabelSelector>(&text)?;
        reads::<BranchName>(&text)?;
        reads::<CommitPrefix>(&text)?;
        reads::<Author>(&text)?;
    }

    #[test]
    fn where_it_goes(text in text()) {
        reads::<Address>(&text)?;
        reads::<Window>(&text)?;
        reads::<SecretReference>(&text)?;
    }

    #[test]
    fn what_it_is(text in text()) {
        reads::<Digest>(&text)?;
        reads::<ImageReference>(&text)?;
        reads::<RegistryPrefix>(&text)?;
        reads::<Platform>(&text)?;
        reads::<GitRef>(&text)?;
        reads::<CommitId>(&text)?;
    }

    #[test]
    fn how_it_is_named(text in text()) {
        reads::<ApplicationName>(&text)?;
        reads::<CheckName>(&text)?;
        reads::<LabelKey>(&text)?;
        reads::<LabelValue>(&text)?;
    }
}

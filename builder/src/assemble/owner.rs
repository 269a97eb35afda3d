//! Users and groups of `--chown` and `USER`, by number or by the image's own files of accounts.

use super::tree::{Kind, Origin, Owner, Tree};

/// A name that the image does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownName {
    /// `user` or `group`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The file that was searched.
    pub(crate) file: &'static str,
}

/// Reads `user[:group]`. A user's number alone is the group's too; a user's name alone takes the
/// group of its line.
pub(crate) fn lookup(tree: &Tree, text: &str) -> Result<Owner, UnknownName> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let mut owner = match number(user) {
        Some(id) => Owner { user: id, group: id },
        None => named_user(tree, user)?,
    };
    if let Some(group) = group {
        owner.group = match number(group) {
            Some(id) => id,
            None => named_group(tree, group)?,
        };
    }
    Ok(owner)
}

/// The owner of a WORKDIR for this `USER`: as in BuildKit, a user that the image does not know counts
/// as root, and an unknown group leaves the user's.
pub(crate) fn lookup_known(tree: &Tree, text: &str) -> Owner {
    lookup(tree, text).unwrap_or_else(|_| {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let mut owner = lookup(tree, user).unwrap_or_default();
        owner.group = number(group).or_else(|| named_group(tree, group).ok()).unwrap_or(owner.group);
        owner
    })
}

fn number(text: &str) -> Option<u64> {
    if text == "root" {
        return Some(0);
    }
    text.parse::<u64>().ok().filter(|&id| i32::try_from(id).is_ok())
}

fn named_user(tree: &Tree, name: &str) -> Result<Owner, UnknownName> {
    let unknown = || UnknownName { kind: "user", name: name.to_owned(), file: "/etc/passwd" };
    let fields = line(tree, b"etc/passwd", name).ok_or_else(unknown)?;
    let id = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
    Ok(Owner { user: id(2).ok_or_else(unknown)?, group: id(3).ok_or_else(unknown)? })
}

fn named_group(tree: &Tree, name: &str) -> Result<u64, UnknownName> {
    let unknown = || UnknownName { kind: "group", name: name.to_owned(), file: "/etc/group" };
    let fields = line(tree, b"etc/group", name).ok_or_else(unknown)?;
    fields.get(2).and_then(|field| field.parse().ok()).ok_or_else(unknown)
}

/// The fields of the first line for `name`.
fn line(tree: &Tree, path: &[u8], name: &str) -> Option<Vec<String>> {
    let path = tree.resolve(path).ok()?;
    let Some(Kind::File(content)) = tree.get(&path).map(|node| &node.kind) else { return None };
    let Origin::Bytes(bytes) = &content.origin else { return None };
    String::from_utf8_lossy(bytes)
        .lines()
        .map(|line| line.trim().split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| fields.first().is_some_and(|first| first == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::tree::{Content, Node};

    #[test]
    fn owners_are_numbers_or_names_of_the_image() {
        let mut tree = Tree::default();
        let file = |text: &str| Node::new(Kind::File(Content::bytes(text.as_bytes())), 0o644);
        tree.put(b"etc/passwd".to_vec(), file("root:x:0:0::/:/bin/sh\napp:x:100:101::/:/bin/sh\n"));
        tree.put(b"etc/group".to_vec(), file("root:x:0:\nstaff:x:50:app\n"));
        for (text, user, group) in [
            ("app", 100, 101),
            ("app:staff", 100, 50),
            ("7", 7, 7),
            ("7:staff", 7, 50),
            ("root", 0, 0),
            ("app:9", 100, 9),
        ] {
            assert_eq!(lookup(&tree, text), Ok(Owner { user, group }), "{text}");
        }
        for (text, user, group) in [
            ("none", 0, 0),
            ("none:staff", 0, 50),
            ("app:none", 100, 101),
            ("7:none", 7, 7),
            ("app", 100, 101),
        ] {
            assert_eq!(lookup_known(&tree, text), Owner { user, group }, "{text}");
        }
        assert_eq!(lookup(&tree, "none").unwrap_err().kind, "user");
        assert_eq!(lookup(&tree, "app:none").unwrap_err().kind, "group");
    }
}

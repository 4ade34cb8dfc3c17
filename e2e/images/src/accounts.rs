//! Users of an image, under the numbers that the upstream image gives them.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::recipe::{Account, Owner};
use crate::tree::{Content, Entry, Node, Tree};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Old and new numbers of those that a package has made.
///
/// # Errors
/// The lists of users cannot be read.
pub(crate) fn moves(accounts: &[Account], image: &Tree) -> Result<Vec<(Owner, Owner)>> {
    let (users, groups) = (numbers(&text(image, USERS)?), numbers(&text(image, GROUPS)?));
    let of = |account: &Account| {
        let old = Owner { user: *users.get(&account.name)?, group: *groups.get(&account.name)? };
        Some((old, Owner { user: account.id, group: account.id }))
    };
    Ok(accounts.iter().filter_map(of).collect())
}

/// The lists of users and groups with these accounts in them.
///
/// # Errors
/// The image's own lists cannot be read.
pub(crate) fn files(accounts: &[Account], image: &Tree) -> Result<Tree> {
    let mut tree = Tree::default();
    if accounts.is_empty() {
        return Ok(tree);
    }
    list(USERS, &mut tree, accounts, image, |a| {
        format!("{0}:x:{1}:{1}::{2}:/usr/sbin/nologin", a.name, a.id, a.home)
    })?;
    list(GROUPS, &mut tree, accounts, image, |a| format!("{}:x:{}:", a.name, a.id))?;
    Ok(tree)
}

/// One of the two lists, with a line for each account.
fn list(
    path: &str,
    tree: &mut Tree,
    accounts: &[Account],
    image: &Tree,
    line: impl Fn(&Account) -> String,
) -> Result<()> {
    let mut lines: Vec<String> = text(image, path)?.lines().map(str::to_owned).collect();
    for account in accounts {
        lines.retain(|line| line.split(':').next() != Some(&account.name));
        lines.push(line(account));
    }
    let node = Node::File(Content::Bytes(format!("{}\n", lines.join("\n")).into_bytes()));
    tree.insert(path, Entry { mode: 0o644, owner: Owner::default(), node });
    Ok(())
}

fn text(image: &Tree, path: &str) -> Result<String> {
    match image.get(path).map(|entry| &entry.node) {
        Some(Node::File(content)) => Ok(String::from_utf8_lossy(&content.bytes()?).into_owned()),
        _ => Ok(String::new()),
    }
}

/// Names with their numbers: both lists have them in the first and the third field.
fn numbers(list: &str) -> BTreeMap<String, u32> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    list.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Tree {
        let mut image = Tree::default();
        for (path, text) in [
            (USERS, "root:x:0:0::/root:/bin/sh\nredis:x:101:102::/var:/bin/false\n"),
            (GROUPS, "root:x:0:\nredis:x:102:\n"),
        ] {
            let node = Node::File(Content::Bytes(text.as_bytes().to_vec()));
            image.insert(path, Entry { mode: 0o644, owner: Owner::default(), node });
        }
        image
    }

    #[test]
    fn a_users_number_is_the_recipes_whatever_a_package_gave_it() {
        let accounts = [Account { name: "redis".into(), id: 999, home: "/data".into() }];
        let old = Owner { user: 101, group: 102 };
        assert_eq!(moves(&accounts, &image()).unwrap(), [(old, Owner { user: 999, group: 999 })]);
        let files = files(&accounts, &image()).unwrap();
        let users = text(&files, USERS).unwrap();
        assert_eq!(users, "root:x:0:0::/root:/bin/sh\nredis:x:999:999::/data:/usr/sbin/nologin\n");
        assert_eq!(text(&files, GROUPS).unwrap(), "root:x:0:\nredis:x:999:\n");
    }
}

//! Secrets inside texts. In a plan a secret is an opaque token, legal only inside Secret objects; `apply` puts the
//! value in. A token is written between two private-use characters that no configuration contains.

use crate::model::{Piece, SecretKeyRef};

const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

/// The token of a secret key.
pub fn token(secret: &SecretKeyRef) -> String {
    format!("{OPEN}{}/{}/{}{CLOSE}", secret.namespace, secret.name, secret.key)
}

/// The text's pieces, in order. A text without tokens is one piece.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((inside, tail)) = after.split_once(CLOSE) else { break };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let mut parts = inside.splitn(3, '/');
        if let (Some(namespace), Some(name), Some(key)) = (parts.next(), parts.next(), parts.next()) {
            pieces.push(Piece::Secret(SecretKeyRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                key: key.to_owned(),
            }));
        }
        rest = tail;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// Whether the text holds a token.
pub fn has_secret(text: &str) -> bool {
    text.contains(OPEN)
}

/// The text with a word in the place of each token, for those who look at its form.
pub fn masked(text: &str) -> String {
    let piece = |piece| match piece {
        Piece::Text(text) => text,
        Piece::Secret(_) => "secret".to_owned(),
    };
    pieces(text).into_iter().map(piece).collect()
}

/// The secret keys that the text holds.
pub fn secrets(text: &str) -> Vec<SecretKeyRef> {
    pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Secret(secret) => Some(secret),
            Piece::Text(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_splits_into_plain_and_secret_pieces_in_order() {
        let secret = SecretKeyRef { namespace: "ns".into(), name: "db".into(), key: "password".into() };
        let text = format!("postgres://user:{}@host", token(&secret));
        assert_eq!(
            pieces(&text),
            vec![Piece::Text("postgres://user:".into()), Piece::Secret(secret), Piece::Text("@host".into())]
        );
        assert_eq!(masked(&text), "postgres://user:secret@host");
        assert_eq!(pieces(""), vec![Piece::Text(String::new())]);
        assert!(!has_secret("plain"));
    }
}

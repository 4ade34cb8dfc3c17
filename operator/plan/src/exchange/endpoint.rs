//! Methods and paths: how a request is read, and which pattern covers it. What could be read in two ways is refused.

use plinth_api::v1alpha1::exchange::Endpoint;

/// Why a path is not looked at any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {0}")]
pub struct Ambiguous(&'static str);

/// The segments of a path as a server would see them, decoded once.
///
/// # Errors
/// A path that two servers may read differently: an encoded slash, backslash, dot or per cent sign, an empty or a dot
/// segment, a control character, a broken escape.
pub fn segments(path: &str) -> Result<Vec<String>, Ambiguous> {
    let Some(rest) = path.strip_prefix('/') else { return Err(Ambiguous("does not begin with `/`")) };
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split('/').map(segment).collect()
}

fn segment(text: &str) -> Result<String, Ambiguous> {
    if text.is_empty() {
        return Err(Ambiguous("has an empty segment"));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|d| d.and_then(|d| (d as char).to_digit(16)));
                let [Some(high), Some(low)] = digits else { return Err(Ambiguous("has a broken escape")) };
                let byte = u8::try_from(high * 16 + low).unwrap_or_default();
                if b"/\\.%;".contains(&byte) {
                    return Err(Ambiguous("hides a delimiter in an escape"));
                }
                byte
            }
            b'\\' | b'#' | b'?' => return Err(Ambiguous("has a character that is not allowed")),
            // Some servers cut a segment here, others do not.
            b';' => return Err(Ambiguous("has a path parameter")),
            byte => byte,
        };
        if byte < 0x20 || byte == 0x7f {
            return Err(Ambiguous("has a control character"));
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| Ambiguous("is not UTF-8"))?;
    if text == "." || text == ".." { Err(Ambiguous("has a dot segment")) } else { Ok(text) }
}

/// Whether `pattern` covers a request.
pub fn covers(pattern: &Endpoint, method: &str, segments: &[String]) -> bool {
    if pattern.method != "*" && pattern.method != method {
        return false;
    }
    takes(&parts(&pattern.path), segments, |wanted, segment| wanted == "*" || wanted == segment)
}

/// Whether a pattern takes in all of `items`; `one` says whether a segment of the pattern, which is not `**`, takes in one of them.
///
/// In time of the length of the one times that of the other: the pattern is an agency's, and a call must not wait for it. Only
/// the last `**` is ever tried again, for what an earlier one could take as well leaves the same rest to it.
fn takes<T>(pattern: &[&str], items: &[T], one: impl Fn(&str, &T) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    // After the last `**`, and the first item that it has not taken yet.
    let mut again: Option<(usize, usize)> = None;
    while item < items.len() {
        match pattern.get(at) {
            Some(&"**") => {
                at += 1;
                again = Some((at, item));
            }
            Some(wanted) if one(wanted, &items[item]) => {
                at += 1;
                item += 1;
            }
            _ => {
                let Some((after, first)) = again else { return false };
                (at, item) = (after, first + 1);
                again = Some((after, item));
            }
        }
    }
    pattern[at..].iter().all(|wanted| *wanted == "**")
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// Whether everything that `inner` covers is covered by `outer`: an agreement may grant no more than a service has.
pub fn contains(outer: &Endpoint, inner: &Endpoint) -> bool {
    if outer.method != "*" && outer.method != inner.method {
        return false;
    }
    let wider = |wanted: &str, other: &&str| (wanted == "*" && *other != "**") || wanted == *other;
    takes(&parts(&outer.path), &parts(&inner.path), wider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        let (method, path) = text.split_once(' ').unwrap();
        Endpoint { method: method.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "a",
            "//",
            "/a//b",
            "/a/",
            "/./a",
            "/a/..",
            "/%2e%2e/a",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%252Fb",
            "/a%00",
            "/a%",
            "/a%zz",
            "/a;b",
            "/a%3Bb",
            "/a%ff",
            "/a?b",
            "/a#b",
            "/a\u{7f}",
        ] {
            assert!(segments(path).is_err(), "{path:?}");
        }
        assert_eq!(segments("/").unwrap(), Vec::<String>::new());
        assert_eq!(segments("/a%20b/c:d@e").unwrap(), ["a b", "c:d@e"]);
    }

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, method, path, covered) in [
            ("GET /people/*", "GET", "/people/1", true),
            ("GET /people/*", "POST", "/people/1", false),
            ("GET /people/*", "GET", "/people", false),
            ("GET /people/*", "GET", "/people/1/2", false),
            ("* /people/**", "DELETE", "/people", true),
            ("* /people/**", "DELETE", "/people/1/2", true),
            ("GET /**/photo", "GET", "/people/1/photo", true),
            ("GET /", "GET", "/", true),
            ("GET /", "GET", "/a", false),
            // A star is a word of the pattern, never of the request.
            ("GET /people/1", "GET", "/people/*", false),
        ] {
            assert_eq!(
                covers(&endpoint(pattern), method, &segments(path).unwrap()),
                covered,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn an_agreement_grants_no_more_than_a_service_has() {
        for (outer, inner, inside) in [
            ("GET /people/*", "GET /people/*", true),
            ("* /people/**", "GET /people/*/photo", true),
            ("* /people/**", "GET /**", false),
            ("GET /people/*", "GET /people/1", true),
            ("GET /people/*", "* /people/1", false),
            ("GET /people/*", "GET /people/**", false),
            ("GET /people/1", "GET /people/*", false),
            ("GET /**/photo", "GET /people/*/photo", true),
        ] {
            assert_eq!(contains(&endpoint(outer), &endpoint(inner)), inside, "{outer} {inner}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_keeps_nobody_waiting() {
        // What one agency writes may hold up no call: tried one way after the other, this would take longer than the sun has.
        let many = endpoint(&format!("GET {}/end", "/**/a".repeat(100)));
        let call = segments(&"/a".repeat(400)).unwrap();
        assert!(!covers(&many, "GET", &call));
        assert!(contains(&many, &many));
        assert!(!contains(&many, &endpoint(&format!("GET {}", "/**/a".repeat(100)))));
    }
}

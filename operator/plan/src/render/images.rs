//! Images after the Stack's rules: what pods run, and what objects of other kinds are told to run.

use std::collections::BTreeSet;

use plinth_api::Stack;
use plinth_api::names;
use serde_json::{Map, Value, json};

use super::frame::Frame;
use crate::expr::listed;
use crate::lint;
use crate::model::Finding;
use crate::onboarding::OWN_IMAGE;
use crate::resolve::Instance;

/// An image of the version, rewritten; refused ones become findings.
pub fn image(stack: &Stack, frame: &Frame<'_>, name: &str, at: &str, findings: &mut Vec<Finding>) -> String {
    let version = frame.instance.version;
    let own = (name == OWN_IMAGE).then_some(names::IMAGE);
    let Some(original) = version.images.get(name).map(String::as_str).or(own) else {
        let known: Vec<&str> = version.images.keys().map(String::as_str).collect();
        findings.push(frame.finding(
            &format!("{at}.image"),
            format!("version {} has no image `{name}`; it has {}", version.version, listed(&known)),
        ));
        return String::new();
    };
    let rules = &stack.spec.images;
    let image = rules.rewritten(original);
    if !image.contains("@sha256:") {
        if rules.require_digest {
            findings.push(frame.finding(
                &format!("{at}.image"),
                format!("`{image}` has no digest and spec.images.requireDigest is true; rewrite it to one that has"),
            ));
        }
        if rules.refuse_mutable_tags && lint::moves(&image) {
            findings.push(frame.finding(
                &format!("{at}.image"),
                format!("`{image}` has a tag that moves; rewrite it, or set spec.images.refuseMutableTags to false"),
            ));
        }
    }
    image
}

/// `images` as expressions see them: each whole (`reference`) and in the parts that charts ask for.
pub fn vars(stack: &Stack, instance: &Instance<'_>) -> Value {
    let rules = &stack.spec.images;
    let all =
        instance.version.images.iter().map(|(name, image)| (name.clone(), parts(&rules.rewritten(image))));
    Value::Object(all.collect::<Map<String, Value>>())
}

/// A reference in parts. Without a registry it is Docker Hub's.
fn parts(image: &str) -> Value {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let tag_at = rest.rfind(':').filter(|at| !rest[*at..].contains('/'));
    let (path, tag) = tag_at.map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]));
    let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let (registry, repository) = match path.split_once('/') {
        Some((first, repository)) if is_registry(first) => (first, repository),
        _ => ("docker.io", path),
    };
    json!({ "reference": image, "registry": registry, "repository": repository, "tag": tag, "digest": digest })
}

/// Images that the entry's objects name, as far as those are rendered, checked as those of pods are.
pub fn of_objects(
    stack: &Stack,
    frame: &Frame<'_>,
    rendered: impl Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in frame.instance.entry.spec.objects.iter().filter(|object| rendered(&object.name)) {
        let text = Value::Object(object.object.clone()).to_string();
        for name in frame.instance.version.images.keys().filter(|name| mentions(&text, name)) {
            found.insert(image(stack, frame, name, &format!("spec.objects[{}]", object.name), findings));
        }
    }
    found
}

/// Whether a text has `images.<name>` or `images['<name>']` in an expression.
pub fn mentions(text: &str, name: &str) -> bool {
    text.contains(&format!("images['{name}']")) || text.contains(&format!("images.{name}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_the_parts_that_charts_ask_for() {
        let cases = [
            ("docker.io/mosipid/mimoto:0.19.2", ["docker.io", "mosipid/mimoto", "0.19.2", ""]),
            ("mirror.gov.example:5000/a/b:1@sha256:ab", ["mirror.gov.example:5000", "a/b", "1", "sha256:ab"]),
            ("busybox:1.36", ["docker.io", "busybox", "1.36", ""]),
            ("library/busybox", ["docker.io", "library/busybox", "", ""]),
        ];
        for (image, [registry, repository, tag, digest]) in cases {
            let wanted = json!({ "reference": image, "registry": registry, "repository": repository, "tag": tag, "digest": digest });
            assert_eq!(parts(image), wanted);
        }
    }
}

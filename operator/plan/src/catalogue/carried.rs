//! The catalogues that one version of Plinth carries: its own, and those of up to two versions before. A Stack is rendered from the
//! one that it is pinned to, so that a newer Plinth alone changes nothing of what runs.

use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use plinth_api::Stack;

use super::Catalogue;
use super::frozen::{self, Label};
use crate::model::Finding;

/// Catalogues before the current one that a version carries at most.
pub const MOST_BEFORE: usize = 2;
/// Where a Stack says which catalogue it is made from.
const FIELD: &str = "spec.catalogue.revision";

static FROZEN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../catalogues");

/// Every catalogue that a version of Plinth carries.
#[derive(Debug, Default)]
pub struct Catalogues {
    current: Catalogue,
    /// The newest first.
    before: Vec<Before>,
}

/// A catalogue of an earlier version. Most Stacks are pinned to one, so the others are never read.
#[derive(Debug)]
struct Before {
    label: Label,
    file: &'static [u8],
    thawed: OnceLock<Option<Catalogue>>,
}

impl Catalogues {
    /// Those of this binary.
    ///
    /// # Errors
    /// Every entry that does not parse, and every frozen file that is none.
    pub fn builtin() -> Result<Self, Vec<Finding>> {
        let current = Catalogue::builtin()?;
        let mut before = Vec::new();
        let mut findings = Vec::new();
        let is_frozen = |path: &std::path::Path| path.to_string_lossy().ends_with(frozen::EXTENSION);
        for file in FROZEN.files().filter(|file| is_frozen(file.path())) {
            match frozen::label(file.contents()) {
                Ok(label) => {
                    before.push(Before { label, file: file.contents(), thawed: OnceLock::new() });
                }
                Err(message) => {
                    findings.push(Finding { path: format!("catalogues/{}", file.path().display()), message });
                }
            }
        }
        before.sort_by(|one, other| other.label.frozen_at.cmp(&one.label.frozen_at));
        if findings.is_empty() { Ok(Self { current, before }) } else { Err(findings) }
    }

    /// A version that carries these; `before` has the newest first.
    pub fn of(current: Catalogue, before: impl IntoIterator<Item = Catalogue>) -> Self {
        let before = before.into_iter().map(|catalogue| Before {
            label: Label { revision: catalogue.revision().to_owned(), frozen_at: String::new() },
            file: &[],
            thawed: OnceLock::from(Some(catalogue)),
        });
        Self { current, before: before.collect() }
    }

    /// The one that came with this version.
    pub fn current(&self) -> &Catalogue {
        &self.current
    }

    /// Revision of each, the current one first, and when those before were frozen.
    pub fn revisions(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let before =
            self.before.iter().map(|before| (&*before.label.revision, Some(&*before.label.frozen_at)));
        std::iter::once((self.current.revision(), None)).chain(before)
    }

    /// The catalogue of that revision, where this version carries it and understands it.
    pub fn get(&self, revision: &str) -> Option<&Catalogue> {
        if revision == self.current.revision() {
            return Some(&self.current);
        }
        let before = self.before.iter().find(|before| before.label.revision == revision)?;
        before.thawed.get_or_init(|| frozen::thaw(before.file).ok()).as_ref()
    }

    /// The catalogue that a Stack is made from: the one that its spec names; else the one that it is pinned to by its status; else the
    /// newest of those that stand beside its data, by which a rebuilt hub goes on; else, on first sight, the current one.
    ///
    /// # Errors
    /// This version does not carry it: the field, and what to do.
    pub fn of_stack<'a>(
        &self,
        stack: &Stack,
        beside_data: impl IntoIterator<Item = &'a str>,
    ) -> Result<&Catalogue, Finding> {
        let declared = stack.spec.catalogue.as_ref().and_then(|reference| reference.revision.as_deref());
        if let Some(declared) = declared {
            return self.get(declared).ok_or_else(|| self.unknown(format!("`{declared}`")));
        }
        let runs_by = |revision: &str| format!("is not set, and the Stack runs by `{revision}`, which");
        if let Some(pinned) = stack.status.as_ref().and_then(|status| status.catalogue_revision.as_deref()) {
            return self.get(pinned).ok_or_else(|| self.unknown(runs_by(pinned)));
        }
        let beside_data: Vec<&str> = beside_data.into_iter().collect();
        let Some(first) = beside_data.first() else { return Ok(&self.current) };
        let known = self.revisions().map(|(revision, _)| revision).find(|known| beside_data.contains(known));
        known.and_then(|known| self.get(known)).ok_or_else(|| self.unknown(runs_by(first)))
    }

    fn unknown(&self, what: String) -> Finding {
        let carried: Vec<String> = self.revisions().map(|(revision, _)| format!("`{revision}`")).collect();
        Finding {
            path: FIELD.to_owned(),
            message: format!(
                "{what} is not in this version of Plinth; it carries {}. What runs is left as it is. Run a Plinth that carries it, \
                 or name one of these after reading what it changes (plinth catalogue diff)",
                carried.join(", ")
            ),
        }
    }
}

/// Whether a text is a revision, or the beginning of its digits.
pub fn is_revision(text: &str, revision: &str) -> bool {
    let digits = revision.trim_start_matches("sha256:");
    let asked = text.trim_start_matches("sha256:");
    asked.len() >= 4 && digits.starts_with(asked)
}

#[cfg(test)]
mod tests {
    use plinth_api::ProductSpec;
    use plinth_api::v1alpha1::stack::{CatalogueRef, StackStatus};

    use super::*;
    use crate::catalogue::{Entry, hex};

    fn catalogue(title: &str) -> Catalogue {
        let spec = ProductSpec { title: title.to_owned(), ..ProductSpec::default() };
        Catalogue::from_entries([Entry { name: "a".to_owned(), builtin: true, spec: spec.into() }])
    }

    /// A Stack whose spec names a revision and whose status has one.
    fn stack(declared: Option<&str>, pinned: Option<&str>) -> Stack {
        let mut stack = Stack::default();
        let owned = |revision: Option<&str>| revision.map(str::to_owned);
        stack.spec.catalogue = Some(CatalogueRef { revision: owned(declared), ..CatalogueRef::default() });
        stack.status = Some(StackStatus { catalogue_revision: owned(pinned), ..StackStatus::default() });
        stack
    }

    #[test]
    fn the_spec_comes_before_the_status_and_that_before_what_stands_beside_the_data() {
        let carried = Catalogues::of(catalogue("3"), [catalogue("2"), catalogue("1")]);
        let (one, two, three) =
            (catalogue("1").revision().to_owned(), catalogue("2").revision().to_owned(), catalogue("3"));
        let found = |declared, pinned, beside: &[&str]| {
            let stack = stack(declared, pinned);
            carried.of_stack(&stack, beside.iter().copied()).map(|c| c.revision().to_owned())
        };
        assert_eq!(found(Some(&one), Some(&two), &[]), Ok(one.clone()));
        assert_eq!(found(None, Some(&two), &[&one]), Ok(two.clone()));
        assert_eq!(
            found(None, None, &[&one, &two, "sha256:gone"]),
            Ok(two.clone()),
            "half moved, it goes on forward"
        );
        assert_eq!(found(None, None, &[]), Ok(three.revision().to_owned()));
    }

    #[test]
    fn one_that_is_not_carried_is_refused_with_what_to_do() {
        let carried = Catalogues::of(catalogue("3"), [catalogue("2")]);
        let gone = "sha256:00";
        for (stack, beside) in [
            (stack(Some(gone), None), None),
            (stack(None, Some(gone)), None),
            (stack(None, None), Some(gone)),
        ] {
            let refused = carried.of_stack(&stack, beside).unwrap_err();
            assert_eq!(refused.path, FIELD);
            for part in [gone, "What runs is left as it is", carried.current().revision()] {
                assert!(refused.message.contains(part), "{}", refused.message);
            }
        }
    }

    #[test]
    fn a_revision_is_known_by_the_beginning_of_its_digits() {
        let revision = format!("sha256:{}", hex(&[0xab; 32]));
        assert!(is_revision("abab", &revision) && is_revision(&revision, &revision));
        assert!(!is_revision("aba", &revision) && !is_revision("abac", &revision));
    }

    #[test]
    fn what_the_binary_carries_is_whole_older_than_its_own_and_no_more_than_two() {
        let carried = Catalogues::builtin().unwrap();
        assert!(
            carried.before.len() <= MOST_BEFORE,
            "operator/catalogues holds more than {MOST_BEFORE}: `plinth catalogue freeze` keeps the newest"
        );
        for before in &carried.before {
            let thawed = frozen::thaw(before.file);
            assert!(thawed.is_ok(), "{}: {:?}", before.label.file_name(), thawed.err());
            assert_ne!(before.label.revision, carried.current().revision(), "it is the current one: stale");
        }
        let names: Vec<_> = FROZEN.files().map(|file| file.path().display().to_string()).collect();
        let labels = carried.before.iter().map(|before| before.label.file_name());
        let missing: Vec<_> = labels.filter(|name| !names.contains(name)).collect();
        assert!(
            missing.is_empty(),
            "files that are not named after their revision: {missing:?} in {names:?}"
        );
    }
}

//! Names that people type: found, or answered with those that come nearest.

use std::collections::BTreeMap;

use plinth_plan::exchange::Compiled;
use plinth_plan::exchange::compile::{Organisation, What};
use plinth_plan::exchange::id::{MemberId, ServiceId, SubsystemId};

use super::exit::{Exit, Failure};

/// How alike two names must be for one to be offered instead of the other, from 0 to 1.
const ALIKE: f64 = 0.4;
/// How many names are offered.
const OFFERED: usize = 3;

/// The names that come nearest, in words; where none does, the first of those that there are.
pub fn nearest<S: AsRef<str>>(wanted: &str, known: &[S]) -> String {
    if known.is_empty() {
        return "there is none at all".to_owned();
    }
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(wanted, name);
    let mut near: Vec<(f64, &str)> =
        known.iter().map(|name| (likeness(name.as_ref()), name.as_ref())).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    let names: Vec<&str> = near.iter().take(OFFERED).map(|(_, name)| *name).collect();
    match (names.as_slice(), known.len()) {
        ([], n) if n > OFFERED => {
            let first: Vec<&str> = known.iter().take(OFFERED).map(AsRef::as_ref).collect();
            format!("there are {} and {} more", first.join(", "), n - OFFERED)
        }
        ([], _) => format!("there are {}", known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")),
        ([one], _) => format!("the nearest is {one}"),
        (several, _) => format!("the nearest are {}", several.join(", ")),
    }
}

/// A subsystem: `CLASS/CODE/SUBSYSTEM`, with the instance before it, or `MEMBER/SUBSYSTEM` by the name of its Member.
///
/// # Errors
/// There is none, or the name of the Member is not clear. One whose Member is there and is kept out is no error.
pub fn subsystem(compiled: &Compiled, text: &str) -> Result<SubsystemId, Failure> {
    let instance = &compiled.instance;
    let id = match text.split('/').count() {
        2 => {
            let (member, code) = text.split_once('/').unwrap_or_default();
            Some(by_object(compiled, member)?.subsystem(code))
        }
        _ => SubsystemId::asked(instance, text),
    };
    let id = id.ok_or_else(|| no_form(text, "CLASS/CODE/SUBSYSTEM, or MEMBER/SUBSYSTEM"))?;
    let known = id.member.instance != *instance
        || compiled.subsystem(&id).is_some()
        || kept_out(compiled, &id.member);
    if known {
        return Ok(id);
    }
    let all: Vec<String> = compiled
        .members
        .iter()
        .flat_map(|(member, o)| o.spec.subsystems.iter().map(|s| member.subsystem(&s.code).to_string()))
        .collect();
    Err(missing(format!("there is no subsystem `{id}`"), &nearest(&id.to_string(), &all)))
}

/// A service: `CLASS/CODE/SUBSYSTEM/SERVICE`, with the instance before it, or `MEMBER/SUBSYSTEM/SERVICE`.
///
/// # Errors
/// There is none, or the name of the Member is not clear. One that is declared and is not right is no error.
pub fn service(compiled: &Compiled, text: &str) -> Result<ServiceId, Failure> {
    let instance = &compiled.instance;
    let parts: Vec<&str> = text.split('/').collect();
    let id = match parts.as_slice() {
        [member, subsystem, service] => {
            Some(by_object(compiled, member)?.subsystem(subsystem).service(service))
        }
        _ => ServiceId::asked(instance, text),
    };
    let id = id.ok_or_else(|| no_form(text, "CLASS/CODE/SUBSYSTEM/SERVICE, or MEMBER/SUBSYSTEM/SERVICE"))?;
    let declared = || {
        let own = compiled.subsystem(&id.subsystem);
        own.is_some_and(|(_, s)| s.services.iter().any(|s| s.code == id.service))
    };
    let member = &id.subsystem.member;
    if member.instance != *instance
        || compiled.services.contains_key(&id)
        || declared()
        || kept_out(compiled, member)
    {
        return Ok(id);
    }
    let all: Vec<String> = compiled.services.keys().map(ToString::to_string).collect();
    Err(missing(format!("there is no service `{id}`"), &nearest(&id.to_string(), &all)))
}

/// A member: `CLASS/CODE`, with the instance before it, or the name of its Member.
///
/// # Errors
/// There is none, or the name of the Member is not clear.
pub fn member(compiled: &Compiled, text: &str) -> Result<MemberId, Failure> {
    let known: BTreeMap<String, &MemberId> =
        compiled.members.keys().flat_map(|id| [(id.short(), id), (id.to_string(), id)]).collect();
    match (known.get(text), text.contains('/')) {
        (Some(id), _) => Ok((*id).clone()),
        (None, false) => by_object(compiled, text),
        (None, true) => {
            let all: Vec<String> = compiled.members.keys().map(MemberId::short).collect();
            Err(missing(format!("there is no member `{text}`"), &nearest(text, &all)))
        }
    }
}

/// The member whose object has this name.
fn by_object(compiled: &Compiled, name: &str) -> Result<MemberId, Failure> {
    let own: Vec<(&MemberId, &Organisation)> =
        compiled.members.iter().filter(|(_, member)| member.object == name).collect();
    match own.as_slice() {
        [(id, _)] => Ok((*id).clone()),
        [] => {
            let all: Vec<&str> = compiled.members.values().map(|member| member.object.as_str()).collect();
            Err(missing(format!("there is no Member `{name}`"), &nearest(name, &all)))
        }
        several => {
            let ids: Vec<String> = several.iter().map(|(id, _)| id.short()).collect();
            let what = format!("`{name}` is the name of several Members");
            Err(Failure::new(Exit::InvalidInput, what).next(format!("write one of {}", ids.join(", "))))
        }
    }
}

/// Whether a Member claims the code and takes no part: something is wrong with it.
fn kept_out(compiled: &Compiled, member: &MemberId) -> bool {
    let claims = |what: &What| matches!(what, What::Member { id, .. } if id == member);
    !compiled.members.contains_key(member)
        && compiled.standing.values().any(|standing| claims(&standing.what))
}

fn missing(what: String, near: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("{what}; {near}"))
}

fn no_form(text: &str, form: &str) -> Failure {
    Failure::new(Exit::InvalidInput, format!("`{text}` must be of the form {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first_and_a_strange_one_shows_what_there_is() {
        let known = ["births", "deaths", "land", "taxes", "vehicles"];
        assert_eq!(nearest("birth", &known), "the nearest is births");
        assert_eq!(nearest("vehicle", &known), "the nearest is vehicles");
        assert_eq!(nearest("qqqq", &known), "there are births, deaths, land and 2 more");
        assert_eq!(nearest("x", &[] as &[&str]), "there is none at all");
    }
}

//! How much the closure check catches: every entry is changed in one place at a time, systematically, and planned again.
//! Caught means that planning fails or the closure check finds something; a golden file that would change does not count.

mod closure_stacks;
mod mutants;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mutants::Mutant;
use plinth_api::ProductSpec;
use plinth_plan::catalogue::{Catalogue, Entry};
use plinth_plan::model::{Plan, UnitId};
use plinth_plan::{Inputs, closure};
use serde_json::Value;

/// Of 100 mutations of all entries together, so many must be caught.
const FLOOR: usize = 95;
/// Of 100 mutations of one entry that has more than a few, so many must be caught.
const EACH: usize = 80;
const FEW: usize = 20;
/// So many mutants are made of an entry that has more, evenly spread: MOSIP has thousands.
const SHARE: usize = 50;

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The same plan, or one that differs in nothing but a name that nobody outside it knows.
    Equivalent,
    Caught,
    Missed,
}

struct Baseline {
    case: closure_stacks::Case,
    plan: Plan,
}

#[test]
fn at_least_95_of_100_mutations_of_the_catalogue_are_caught() {
    let catalogue = closure_stacks::catalogue();
    let inputs = Inputs { catalogue: catalogue.clone(), ..Inputs::default() };
    let mut smallest: BTreeMap<String, String> = BTreeMap::new();
    for case in closure_stacks::cases() {
        // Cases come in the order of the profiles: the first of a Stack is its smallest.
        smallest.entry(stem(&case.name).to_owned()).or_insert(case.name);
    }
    let mut baselines: Vec<Baseline> = closure_stacks::cases()
        .into_iter()
        .filter(|case| !case.products.is_empty() && smallest.get(stem(&case.name)) == Some(&case.name))
        .map(|case| {
            let plan = plinth_plan::plan(&case.stack, &inputs).expect("the catalogue is sound");
            assert!(closure::check(&plan, &case.stack, &inputs).is_empty(), "{} is not closed", case.name);
            Baseline { case, plan }
        })
        .collect();
    // The smallest first: most are caught there, and need not be planned in a whole country.
    baselines.sort_by_key(|baseline| baseline.plan.units().count());
    // `MUTATIONS_ONLY=a,b`: these entries alone, all of their mutants and all that is missed.
    let only = std::env::var("MUTATIONS_ONLY").ok();
    let mutants: Vec<(String, Mutant)> = catalogue
        .entries()
        .filter(|entry| {
            entry.builtin && only.as_ref().is_none_or(|only| only.split(',').any(|n| n == entry.name))
        })
        .flat_map(|entry| mutants::of(&entry.spec, share()).into_iter().map(|m| (entry.name.clone(), m)))
        .collect();

    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Outcome::Missed; mutants.len()]);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((product, mutant)) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = outcome(&catalogue, &baselines, product, mutant);
                    let i =
                        mutants.iter().position(|(_, m)| std::ptr::eq(m, mutant)).expect("it is one of them");
                    outcomes.lock().expect("no worker panics")[i] = outcome;
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no worker panics");
    report(&mutants, &outcomes);
}

/// How many mutants of an entry are made. All of them with `MUTATIONS_ALL`; `MUTATIONS_SHARE=100` takes so many of each.
fn share() -> Option<usize> {
    let asked = std::env::var("MUTATIONS_SHARE").ok().and_then(|n| n.parse().ok());
    asked.or(std::env::var_os("MUTATIONS_ALL").is_none().then_some(SHARE))
}

fn everything() -> bool {
    ["MUTATIONS_ALL", "MUTATIONS_ONLY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// A case's name without its profile.
fn stem(name: &str) -> &str {
    name.rsplit_once(", ").map_or(name, |(stem, _)| stem)
}

fn outcome(catalogue: &Catalogue, baselines: &[Baseline], product: &str, mutant: &Mutant) -> Outcome {
    let mutated = with(catalogue, product, &mutant.spec);
    let inputs = Inputs { catalogue: mutated, ..Inputs::default() };
    let mut equivalent = true;
    for baseline in baselines.iter().filter(|b| b.case.products.iter().any(|shown| shown == product)) {
        let Ok(plan) = plinth_plan::plan(&baseline.case.stack, &inputs) else { return Outcome::Caught };
        if same(mutant, &baseline.plan, &plan) {
            continue;
        }
        equivalent = false;
        if !closure::check(&plan, &baseline.case.stack, &inputs).is_empty() {
            return Outcome::Caught;
        }
    }
    if equivalent { Outcome::Equivalent } else { Outcome::Missed }
}

fn with(catalogue: &Catalogue, product: &str, spec: &ProductSpec) -> Catalogue {
    let entry = catalogue.get(product).expect("it is one of the catalogue's").clone();
    catalogue.clone().with_entries([Entry { spec: spec.clone().into(), ..entry }])
}

/// Whether the mutation changed nothing: the same hash; the same order where only an edge went; the same objects where
/// only a name changed that nothing else refers to.
fn same(mutant: &Mutant, old: &Plan, new: &Plan) -> bool {
    if old.hash == new.hash {
        return true;
    }
    match &mutant.renamed {
        Some((new_name, old_name)) => {
            canonical(old, &|text| text) == canonical(new, &|text| text.replace(new_name, old_name))
        }
        None => mutant.class == "drop an after edge" && order(old) == order(new),
    }
}

/// What every unit waits for, directly or not.
fn order(plan: &Plan) -> BTreeMap<&UnitId, BTreeSet<&UnitId>> {
    let after: BTreeMap<&UnitId, &[UnitId]> = plan.units().map(|u| (&u.id, u.after.as_slice())).collect();
    plan.units()
        .map(|unit| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&UnitId> = unit.after.iter().collect();
            while let Some(id) = next.pop() {
                if seen.insert(id) {
                    next.extend(after.get(id).copied().unwrap_or_default());
                }
            }
            (&unit.id, seen)
        })
        .collect()
}

/// Units and objects without digests, in an order that does not depend on names.
fn canonical(plan: &Plan, back: &dyn Fn(String) -> String) -> BTreeSet<String> {
    plan.units()
        .map(|unit| {
            let mut value = serde_json::to_value(unit).expect("a unit is JSON");
            tidy(&mut value, back);
            value.to_string()
        })
        .collect()
}

fn tidy(value: &mut Value, back: &dyn Fn(String) -> String) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !key.starts_with("plinth.dev/") || !key.ends_with("-hash"));
            map.remove("hash");
            let names: Vec<String> = map.keys().cloned().collect();
            for name in names {
                if let Some(value) = map.remove(&name) {
                    map.insert(back(name), value);
                }
            }
            let job = map.get("kind").is_some_and(|kind| kind == "Job");
            for (key, value) in map.iter_mut() {
                tidy(value, back);
                // A Job's name ends in a digest of what it does.
                if job
                    && key == "name"
                    && let Some((name, _)) = value.as_str().and_then(|n| n.rsplit_once('-'))
                {
                    *value = Value::from(name);
                }
            }
            if job
                && let Some(name) =
                    map.get("metadata").and_then(|m| m["name"].as_str()).and_then(|n| n.rsplit_once('-'))
            {
                let name = name.0.to_owned();
                map["metadata"]["name"] = Value::from(name);
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| tidy(item, back));
            items.sort_by_key(ToString::to_string);
        }
        Value::String(text) => *text = back(std::mem::take(text)),
        _ => {}
    }
}

fn report(mutants: &[(String, Mutant)], outcomes: &[Outcome]) {
    let mut table: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut missed = Vec::new();
    for ((product, mutant), outcome) in mutants.iter().zip(outcomes) {
        table.entry(mutant.class).or_default()[*outcome as usize] += 1;
        if *outcome == Outcome::Missed {
            missed.push(format!("{}: {product}: {}", mutant.class, mutant.site));
        }
    }
    println!("{:<32} {:>6} {:>10} {:>6} {:>6}", "mutation", "made", "equivalent", "caught", "missed");
    let mut sum = [0; 3];
    for (class, [equivalent, caught, lost]) in &table {
        let made = equivalent + caught + lost;
        println!("{class:<32} {made:>6} {equivalent:>10} {caught:>6} {lost:>6}");
        sum.iter_mut().zip([equivalent, caught, lost]).for_each(|(sum, n)| *sum += n);
    }
    let [equivalent, caught, lost] = sum;
    println!("{:<32} {:>6} {equivalent:>10} {caught:>6} {lost:>6}", "all", mutants.len());
    let limit = if everything() { usize::MAX } else { 30 };
    println!("\nmissed, the first {} of {}:", missed.len().min(limit), missed.len());
    missed.iter().take(limit).for_each(|site| println!("  {site}"));
    let weak = by_product(mutants, outcomes);
    assert!(weak.is_empty(), "less than {EACH} of 100 are caught of {weak:?}");
    let counted = caught + lost;
    assert!(
        caught * 100 >= counted * FLOOR,
        "{caught} of {counted} are caught, at least {FLOOR} of 100 must be"
    );
}

/// Prints the share that is caught, by product; gives the products that hide behind the others.
fn by_product<'m>(mutants: &'m [(String, Mutant)], outcomes: &[Outcome]) -> Vec<&'m str> {
    let mut table: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((product, _), outcome) in mutants.iter().zip(outcomes).filter(|(_, o)| **o != Outcome::Equivalent) {
        let (caught, counted) = table.entry(product).or_default();
        *caught += usize::from(*outcome == Outcome::Caught);
        *counted += 1;
    }
    println!("\n{:<28} {:>6} {:>6} {:>5}", "product", "caught", "of", "%");
    for (product, (caught, counted)) in &table {
        println!("{product:<28} {caught:>6} {counted:>6} {:>5}", caught * 100 / counted);
    }
    let weak = |(caught, counted): &(usize, usize)| *counted >= FEW && caught * 100 < counted * EACH;
    table.into_iter().filter(|(_, numbers)| weak(numbers)).map(|(product, _)| product).collect()
}

//! Where things stand in the picture: those who ask on the left, those who answer on the right, in the order in which few
//! lines cross. The same country gives the same picture.

use std::collections::BTreeMap;

use super::model::Model;

/// Rounds of sorting one side by the other, and then of swapping neighbours. Pictures of countries settle in far fewer.
const ROUNDS: usize = 24;
/// What the head of a frame counts for, in rows.
const HEAD: f64 = 1.2;

/// Both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Sides {
    /// Public services (`outer`) and the systems that they call as (`inner`).
    pub left: Vec<Group>,
    /// Services that answer (`inner`) and the registries behind them (`outer`).
    pub right: Vec<Group>,
}

/// What one organisation has on one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The organisation; `None` for what is nobody's here.
    pub member: Option<usize>,
    /// What it has.
    pub bundles: Vec<Bundle>,
}

/// What belongs together: a system with its public services, a registry with the services that it answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// Away from the exchange.
    pub outer: Vec<usize>,
    /// Next to the exchange.
    pub inner: Vec<usize>,
}

impl Bundle {
    /// How many rows it takes.
    pub fn rows(&self) -> usize {
        self.outer.len().max(self.inner.len())
    }
}

/// Finds the places.
pub fn arrange(model: &Model) -> Sides {
    let mut sides = Sides { left: left(model), right: right(model) };
    let mut best = (crossings(model, &sides), sides.clone());
    for _ in 0..ROUNDS {
        let places = places(&sides.left);
        sort(&mut sides.right, &places, |offer| {
            model.calls.iter().filter(move |c| c.offer == offer).map(|c| c.client)
        });
        let places = self::places(&sides.right);
        sort(&mut sides.left, &places, |client| {
            model.calls.iter().filter(move |c| c.client == client).map(|c| c.offer)
        });
        let crossings = crossings(model, &sides);
        if crossings >= best.0 {
            break;
        }
        best = (crossings, sides.clone());
    }
    let (mut fewest, mut sides) = best;
    for _ in 0..ROUNDS {
        let before = fewest;
        swap_neighbours(model, &mut sides, &mut fewest);
        if fewest == before {
            break;
        }
    }
    sides
}

fn left(model: &Model) -> Vec<Group> {
    let mut groups: BTreeMap<Option<usize>, Vec<Bundle>> = BTreeMap::new();
    for (client, one) in model.clients.iter().enumerate() {
        let outer = (0..model.services.len()).filter(|s| model.services[*s].client == Some(client)).collect();
        groups.entry(one.member).or_default().push(Bundle { outer, inner: vec![client] });
    }
    for (service, one) in model.services.iter().enumerate().filter(|(_, one)| one.client.is_none()) {
        groups.entry(one.member).or_default().push(Bundle { outer: vec![service], inner: Vec::new() });
    }
    groups.into_iter().map(|(member, bundles)| Group { member, bundles }).collect()
}

fn right(model: &Model) -> Vec<Group> {
    let mut groups: BTreeMap<usize, Vec<Bundle>> = BTreeMap::new();
    for (registry, one) in model.registries.iter().enumerate() {
        let inner = (0..model.offers.len()).filter(|o| model.offers[*o].registry == Some(registry)).collect();
        groups.entry(one.member).or_default().push(Bundle { outer: vec![registry], inner });
    }
    for (offer, one) in model.offers.iter().enumerate().filter(|(_, one)| one.registry.is_none()) {
        groups.entry(one.member).or_default().push(Bundle { outer: Vec::new(), inner: vec![offer] });
    }
    groups.into_iter().map(|(member, bundles)| Group { member: Some(member), bundles }).collect()
}

/// The place of each node next to the exchange, in rows from the top.
fn places(side: &[Group]) -> BTreeMap<usize, f64> {
    let mut places = BTreeMap::new();
    let mut at = 0.0;
    for group in side {
        at += HEAD;
        for bundle in &group.bundles {
            for (row, node) in bundle.inner.iter().enumerate() {
                places.insert(*node, at + row as f64);
            }
            at += bundle.rows() as f64;
        }
    }
    places
}

/// Sorts a side by where its lines end on the other. What has no line goes to the end.
fn sort<I: Iterator<Item = usize>>(
    side: &mut [Group],
    others: &BTreeMap<usize, f64>,
    ends: impl Fn(usize) -> I,
) {
    let mean = |nodes: &[usize]| {
        let places: Vec<f64> =
            nodes.iter().flat_map(|node| ends(*node)).filter_map(|end| others.get(&end).copied()).collect();
        let count = places.len() as f64;
        if places.is_empty() { f64::INFINITY } else { places.iter().sum::<f64>() / count }
    };
    for group in side.iter_mut() {
        for bundle in &mut group.bundles {
            bundle.inner.sort_by(|one, other| mean(&[*one]).total_cmp(&mean(&[*other])));
        }
        group.bundles.sort_by(|one, other| mean(&one.inner).total_cmp(&mean(&other.inner)));
    }
    let of_group =
        |group: &Group| mean(&group.bundles.iter().flat_map(|b| b.inner.clone()).collect::<Vec<_>>());
    side.sort_by(|one, other| of_group(one).total_cmp(&of_group(other)));
}

/// How many pairs of lines cross.
fn crossings(model: &Model, sides: &Sides) -> usize {
    let (left, right) = (places(&sides.left), places(&sides.right));
    let lines: Vec<(f64, f64)> = model
        .calls
        .iter()
        .filter_map(|call| Some((*left.get(&call.client)?, *right.get(&call.offer)?)))
        .collect();
    let crossed = |(nth, one): (usize, &(f64, f64))| {
        lines[nth + 1..].iter().filter(|other| (one.0 - other.0) * (one.1 - other.1) < 0.0).count()
    };
    lines.iter().enumerate().map(crossed).sum()
}

/// Keeps every swap of two neighbours that undoes a crossing: of organisations, then of what they have.
fn swap_neighbours(model: &Model, sides: &mut Sides, fewest: &mut usize) {
    fn side(sides: &mut Sides, left: bool) -> &mut Vec<Group> {
        if left { &mut sides.left } else { &mut sides.right }
    }
    for left in [true, false] {
        for i in 1..side(sides, left).len() {
            side(sides, left).swap(i - 1, i);
            let now = crossings(model, sides);
            if now < *fewest { *fewest = now } else { side(sides, left).swap(i - 1, i) }
        }
        for g in 0..side(sides, left).len() {
            for i in 1..side(sides, left)[g].bundles.len() {
                side(sides, left)[g].bundles.swap(i - 1, i);
                let now = crossings(model, sides);
                if now < *fewest { *fewest = now } else { side(sides, left)[g].bundles.swap(i - 1, i) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::graph::model::{Call, Client, Member, Offer, State};

    /// So many organisations, each with one system and one service, and these calls.
    fn country(n: usize, calls: &[(usize, usize)]) -> Model {
        Model {
            members: vec![Member::default(); n],
            clients: (0..n).map(|member| Client { member: Some(member), ..Client::default() }).collect(),
            offers: (0..n).map(|member| Offer { member, ..Offer::default() }).collect(),
            calls: calls
                .iter()
                .map(|(client, offer)| Call {
                    client: *client,
                    offer: *offer,
                    state: State::InForce,
                    why: Vec::new(),
                })
                .collect(),
            ..Model::default()
        }
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        let model = country(5, &[(0, 4), (1, 3), (2, 2), (3, 1), (4, 0), (0, 3)]);
        assert_eq!(crossings(&model, &arrange(&model)), 0);
    }

    #[test]
    fn the_same_country_stands_in_the_same_places_and_all_of_it_is_there() {
        let calls: Vec<(usize, usize)> = (0..40).map(|n| (n * 7 % 12, n * 5 % 11)).collect();
        let model = country(12, &calls);
        let sides = arrange(&model);
        assert_eq!(sides, arrange(&model));
        let mut shown: Vec<usize> =
            sides.left.iter().flat_map(|g| &g.bundles).flat_map(|b| b.inner.clone()).collect();
        shown.sort_unstable();
        assert_eq!(shown, (0..12).collect::<Vec<_>>());
        let before = Sides { left: left(&model), right: right(&model) };
        assert!(crossings(&model, &sides) < crossings(&model, &before));
    }
}

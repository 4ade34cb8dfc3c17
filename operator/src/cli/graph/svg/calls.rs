//! The lines between those who ask and those who answer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::sign::colour_of;
use super::{CLIENT, OFFER, Picture, curve, escaped_lines};
use crate::cli::graph::model::{Call, State};

impl Picture<'_> {
    /// Who may call what.
    pub fn calls(&mut self) {
        let clients: BTreeMap<usize, f64> =
            self.left.iter().flat_map(|f| &f.inner).map(|c| (c.node, c.middle())).collect();
        let offers: BTreeMap<usize, f64> =
            self.right.iter().flat_map(|f| &f.inner).map(|c| (c.node, c.middle())).collect();
        let mut order: Vec<usize> = (0..self.model.calls.len()).collect();
        // What is not granted is drawn last: it is what somebody has to do something about.
        order.sort_by_key(|nth| Reverse(self.model.calls[*nth].state));
        for nth in order {
            let call = &self.model.calls[nth];
            let (Some(from), Some(to)) = (clients.get(&call.client), offers.get(&call.offer)) else {
                continue;
            };
            let from = from + self.spread(nth, |c| c.client, |c| offers.get(&c.offer).copied());
            let to = to + self.spread(nth, |c| c.offer, |c| clients.get(&c.client).copied());
            let offer = &self.model.offers[call.offer];
            let client = &self.model.clients[call.client];
            let (colour, dash) = stroke(call.state, colour_of(offer.member));
            let mut classes = format!("call c{} o{}", call.client, call.offer);
            classes.extend(offer.registry.iter().map(|registry| format!(" r{registry}")));
            let callers = (0..self.model.services.len())
                .filter(|s| self.model.services[*s].client == Some(call.client));
            classes.extend(callers.map(|service| format!(" s{service}")));
            let word = self.word(call.state.word());
            let hint = format!("{} → {}\n{word}: {}", client.name, offer.name, call.why.join(", "));
            let line = curve((CLIENT.end(), from), (OFFER.x - 6.0, to));
            let hint = escaped_lines(&hint);
            let _ = writeln!(
                self.out,
                r#"<path class="{classes}" stroke="{colour}"{dash} d="{line}"><title>{hint}</title></path>"#
            );
            let tip = format!("M{:.1} {to:.1}l-8 -3.2v6.4z", OFFER.x);
            let _ = writeln!(self.out, r#"<path d="{tip}" fill="{colour}"/>"#);
        }
    }

    /// How far from the middle of a card a line ends: its lines stand in the order of their other ends.
    fn spread(&self, nth: usize, end: impl Fn(&Call) -> usize, other: impl Fn(&Call) -> Option<f64>) -> f64 {
        let calls = &self.model.calls;
        let node = end(&calls[nth]);
        let mut ends: Vec<(f64, usize)> = calls
            .iter()
            .enumerate()
            .filter(|(_, c)| end(c) == node)
            .filter_map(|(i, c)| Some((other(c)?, i)))
            .collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let count = ends.len() as f64;
        let place = ends.iter().position(|(_, i)| *i == nth).unwrap_or_default();
        let step = (18.0 / count).min(5.0);
        step * (place as f64 - (count - 1.0) / 2.0)
    }
}

/// Colour and dashes of a line: what is granted has the colour of who answers.
pub fn stroke(state: State, of_member: &'static str) -> (&'static str, &'static str) {
    match state {
        State::InForce => (of_member, ""),
        State::Scheduled => (of_member, r##" stroke-dasharray="9 5""##),
        State::Asked => ("#d0021b", r##" stroke-dasharray="2 5" stroke-linecap="round""##),
        State::Expired => ("#7b8794", r##" stroke-dasharray="12 4 2 4""##),
    }
}

//! What stands on both sides of the exchange.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plinth_api::v1alpha1::service::Channel;

use super::sign::{colour_of, glyph, of_class};
use super::stack::{Card, Frame, reach};
use super::{
    CHANNEL, CHANNEL_ROOM, CHANNEL_STEP, CLIENT, Column, ICON, INK, LINE, OFFER, PADDING, Picture, REGISTRY,
    SERVICE, SOFT, TOP, curve, escaped_lines, text,
};
use crate::cli::graph::model::Model;

impl Picture<'_> {
    /// How people come, in the middle of what they lead to.
    pub fn channels(&mut self) {
        let mut used: Vec<Channel> = self.model.channels().collect();
        let cards: BTreeMap<usize, f64> =
            self.left.iter().flat_map(|f| &f.outer).map(|c| (c.node, c.middle())).collect();
        let reached = |channel: &Channel| {
            cards
                .iter()
                .filter(|(s, _)| self.model.services[**s].channels.contains(channel))
                .map(|(_, y)| *y)
                .collect::<Vec<f64>>()
        };
        used.sort_by(|one, other| mean(&reached(one)).total_cmp(&mean(&reached(other))));
        if used.is_empty() {
            return;
        }
        let count = used.len() as f64;
        // In the middle of what they lead to.
        let half = CHANNEL_STEP * (count - 1.0) / 2.0;
        let middle = mean(&cards.values().copied().collect::<Vec<f64>>())
            .clamp(TOP + CHANNEL_ROOM + half, self.bottom - CHANNEL_ROOM - half);
        let mut circles = String::new();
        for (nth, channel) in used.into_iter().enumerate() {
            let y = middle - half + CHANNEL_STEP * nth as f64;
            for middle in reached(&channel) {
                let line = curve((CHANNEL.x + 58.0, y), (SERVICE.x - PADDING, middle));
                let style = r##"fill="none" stroke="#b9c5d0" stroke-width="1.1""##;
                let _ = writeln!(self.out, r#"<path d="{line}" {style}/>"#);
            }
            let word = self.word(&format!("short-{channel:?}"));
            let x = CHANNEL.x + 36.0;
            let _ = writeln!(
                circles,
                r##"<circle cx="{x:.1}" cy="{y:.1}" r="22" fill="#ffffff" stroke="{SOFT}" stroke-width="1.5"/>"##
            );
            circles += &glyph(x, y, &format!("{channel:?}"), SOFT, 1.35);
            circles += &text(
                x,
                y + 37.0,
                &word,
                &format!(r##"font-size="11" font-weight="600" text-anchor="middle" fill="{INK}""##),
            );
        }
        self.out += &circles;
    }

    /// An organisation with what it has on that side.
    pub fn frame(&mut self, frame: &Frame, left: bool) {
        let (outer, inner) = if left { (SERVICE, CLIENT) } else { (REGISTRY, OFFER) };
        let (x, end) = reach((outer, inner), frame.outer.is_empty());
        let _ = writeln!(
            self.out,
            r##"<rect x="{x:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="9" fill="#f6f8fa" stroke="{LINE}"/>"##,
            frame.y,
            end - x,
            frame.height
        );
        let colour = frame.member.filter(|_| !left).map_or(INK, colour_of);
        for (nth, line) in frame.name.iter().enumerate() {
            let style = format!(r##"font-size="12.5" font-weight="700" fill="{colour}""##);
            self.out += &text(x + PADDING, frame.y + 18.0 + 15.0 * nth as f64, line, &style);
        }
        let place =
            |cards: &[Card], node: usize| cards.iter().find(|card| card.node == node).map(Card::middle);
        for (outer_node, inner_node) in &frame.ties {
            let (Some(from), Some(to)) = (place(&frame.outer, *outer_node), place(&frame.inner, *inner_node))
            else {
                continue;
            };
            let (x1, x2) = if left { (outer.end(), inner.x) } else { (outer.x, inner.end()) };
            let line = curve((x1, from), (x2, to));
            let _ =
                writeln!(self.out, r#"<path d="{line}" fill="none" stroke="{SOFT}" stroke-width="1.4"/>"#);
        }
        for card in &frame.outer {
            if left { self.service(card) } else { self.registry(card) }
        }
        for card in &frame.inner {
            if left { self.client(card) } else { self.offer(card, colour) }
        }
    }

    fn service(&mut self, card: &Card) {
        let service = &self.model.services[card.node];
        let channels: Vec<String> =
            service.channels.iter().map(|c| self.word(&format!("channel-{c:?}"))).collect();
        let blocks = self.model.used_by(service);
        let hint = format!("{}\n{}\n{}\n{blocks}", service.name, service.id, channels.join(", "));
        self.open(&format!("s{}", card.node), &hint);
        self.card(SERVICE, card, "#ffffff", LINE, "");
        for (nth, block) in service.blocks.iter().rev().enumerate() {
            let x = SERVICE.end() - ICON * (nth as f64 + 0.6);
            self.out += &glyph(x, card.middle(), &self.model.blocks[*block].name, "#41566b", 0.9);
        }
        self.out += "</g>\n";
    }

    fn client(&mut self, card: &Card) {
        let client = &self.model.clients[card.node];
        self.open(&format!("c{}", card.node), &format!("{}\n{}", client.name, client.id));
        self.card(CLIENT, card, "#ffffff", LINE, "");
        self.out += "</g>\n";
    }

    fn offer(&mut self, card: &Card, colour: &str) {
        let offer = &self.model.offers[card.node];
        self.open(&format!("o{}", card.node), &format!("{} · {}\n{}", offer.subsystem, offer.name, offer.id));
        self.card(OFFER, card, "#ffffff", LINE, "");
        let _ = writeln!(
            self.out,
            r##"<rect x="{:.1}" y="{:.1}" width="4" height="{:.1}" rx="2" fill="{colour}"/>"##,
            OFFER.x,
            card.y + 3.0,
            card.height - 6.0
        );
        self.out += "</g>\n";
    }

    fn registry(&mut self, card: &Card) {
        let registry = &self.model.registries[card.node];
        let class = self.word(&format!("classification-{}", registry.classification.word()));
        let place = self.word(if registry.external { "of-its-own" } else { "on-the-platform" });
        self.open(
            &format!("r{}", card.node),
            &format!("{}\n{}\n{class}\n{place}", registry.name, registry.code),
        );
        let (fill, ink) = of_class(registry.classification);
        let more = if registry.external { r##"stroke-dasharray="4 3""## } else { "" };
        let more =
            if registry.critical { format!(r##"stroke-width="2.2" {more}"##) } else { more.to_owned() };
        self.card(REGISTRY, card, fill, ink, &more);
        self.out += &glyph(REGISTRY.end() - 18.0, card.middle(), "registry", ink, 1.1);
        self.out += "</g>\n";
    }

    fn open(&mut self, id: &str, hint: &str) {
        let _ = writeln!(self.out, r##"<g id="{id}"><title>{}</title>"##, escaped_lines(hint));
    }

    fn card(&mut self, column: Column, card: &Card, fill: &str, line: &str, more: &str) {
        let _ = writeln!(
            self.out,
            r##"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="5" fill="{fill}" stroke="{line}" {more}/>"##,
            column.x, card.y, column.width, card.height
        );
        let count = card.lines.len() as f64;
        for (nth, line) in card.lines.iter().enumerate() {
            let y = card.middle() + 4.3 + 14.0 * (nth as f64 - (count - 1.0) / 2.0);
            self.out += &text(column.x + 10.0, y, line, &format!(r##"fill="{INK}""##));
        }
    }
}

/// Where the picture ends at the earliest, so that every way that people come has its room.
pub fn least(model: &Model) -> f64 {
    match model.channels().count() {
        0 => TOP,
        count => TOP + 2.0 * CHANNEL_ROOM + CHANNEL_STEP * (count as f64 - 1.0),
    }
}

/// What the signs of the blocks that a public service uses take of its card.
pub fn icons_width(model: &Model, service: usize) -> f64 {
    ICON * model.services[service].blocks.len() as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

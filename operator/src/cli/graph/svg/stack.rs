//! The organisations of a side, stacked: every frame and card gets its place.

use super::{Column, GAP, HEAD, ONE_LINE, PADDING, ROW_GAP, SIZE, TOP, TWO_LINES};
use crate::cli::graph::model::Model;
use crate::cli::graph::place::{Bundle, Group};
use crate::cli::graph::text::wrap;

/// A card with its place.
#[derive(Clone, Debug)]
pub struct Card {
    pub node: usize,
    pub y: f64,
    pub height: f64,
    pub lines: Vec<String>,
}

impl Card {
    /// Half-way down.
    pub fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// An organisation's frame with its place.
pub struct Frame {
    pub member: Option<usize>,
    pub name: Vec<String>,
    pub y: f64,
    pub height: f64,
    pub outer: Vec<Card>,
    pub inner: Vec<Card>,
    /// Lines between the cards of a bundle: outer and inner node.
    pub ties: Vec<(usize, usize)>,
}

/// Stacks the organisations of one side.
pub fn frames<'m>(
    model: &Model,
    groups: &[Group],
    columns: (Column, Column),
    outer_text: impl Fn(usize) -> (&'m str, f64),
    inner_text: impl Fn(usize) -> (&'m str, f64),
) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut y = TOP;
    for group in groups {
        let (x, end) = reach(columns, group.bundles.iter().all(|bundle| bundle.outer.is_empty()));
        let name = group.member.map(|member| model.members[member].name.as_str()).unwrap_or_default();
        let name = wrap(name, 12.5, end - x - 2.0 * PADDING, 2);
        let mut at = y + HEAD + if name.len() > 1 { 15.0 } else { 0.0 };
        let mut frame = Frame {
            member: group.member,
            name,
            y,
            height: 0.0,
            outer: Vec::new(),
            inner: Vec::new(),
            ties: Vec::new(),
        };
        for bundle in &group.bundles {
            for row in 0..bundle.rows() {
                let card = |nodes: &[usize], text: &dyn Fn(usize) -> (&'m str, f64)| {
                    let node = *nodes.get(row)?;
                    let (name, width) = text(node);
                    Some((node, wrap(name, SIZE, width - 18.0, 2)))
                };
                let outer = card(&bundle.outer, &outer_text);
                let inner = card(&bundle.inner, &inner_text);
                let lines = outer.iter().chain(&inner).map(|(_, lines)| lines.len()).max().unwrap_or(1);
                let height = if lines > 1 { TWO_LINES } else { ONE_LINE };
                let placed = |(node, lines)| Card { node, y: at, height, lines };
                frame.outer.extend(outer.map(placed));
                frame.inner.extend(inner.map(placed));
                at += height + ROW_GAP;
            }
            frame.ties.extend(ties(bundle));
        }
        frame.height = at - ROW_GAP + 9.0 - y;
        y += frame.height + GAP;
        frames.push(frame);
    }
    frames
}

/// From where to where a frame reaches. One that has nothing away from the exchange takes no room there.
pub fn reach((outer, inner): (Column, Column), narrow: bool) -> (f64, f64) {
    let far = if narrow { inner } else { outer };
    (far.x.min(inner.x) - PADDING, far.end().max(inner.end()) + PADDING)
}

/// Everything on one side of a bundle belongs to everything on the other.
fn ties(bundle: &Bundle) -> impl Iterator<Item = (usize, usize)> + '_ {
    bundle.outer.iter().flat_map(|outer| bundle.inner.iter().map(|inner| (*outer, *inner)))
}

/// Spreads the shorter side over the height of the other, both over `least` where they are shorter; says where both end.
pub fn level(left: &mut [Frame], right: &mut [Frame], least: f64) -> f64 {
    let end = |frames: &[Frame]| frames.last().map_or(TOP, |frame| frame.y + frame.height);
    let bottom = end(left).max(end(right)).max(least);
    for side in [left, right] {
        let spare = bottom - end(side);
        let count = side.len() as f64;
        for (nth, frame) in side.iter_mut().enumerate() {
            let down = spare * (nth as f64 + 0.5) / count;
            frame.y += down;
            frame.outer.iter_mut().chain(&mut frame.inner).for_each(|card| card.y += down);
        }
    }
    bottom
}

//! The country as one picture that needs nothing else: no font, no script, no other file. Point at anything in a browser,
//! and its lines stand out.

mod calls;
mod foot;
mod sides;
mod sign;
mod stack;

use std::fmt::Write as _;

use self::sides::{icons_width, least};
pub use self::sign::{colour_of, of_class};
use self::stack::{Frame, frames, level};
use super::model::{Model, State};
use super::place::arrange;
use super::text::{escaped, width, wrap};

/// What Plinth itself says in a picture, by key.
pub type Say<'s> = dyn Fn(&str) -> String + 's;

const MARGIN: f64 = 36.0;
const TOP: f64 = 118.0;
// From the left: how people come, public services, systems that ask, the exchange, services that answer, registries.
const CHANNEL: Column = Column { x: MARGIN, width: 86.0 };
const SERVICE: Column = Column { x: 208.0, width: 270.0 };
const CLIENT: Column = Column { x: 508.0, width: 224.0 };
const EXCHANGE: Column = Column { x: 930.0, width: 84.0 };
const OFFER: Column = Column { x: 1212.0, width: 250.0 };
const REGISTRY: Column = Column { x: 1492.0, width: 330.0 };
const WIDTH: f64 = 1822.0 + 14.0 + MARGIN;
/// Around the cards of a frame.
const PADDING: f64 = 12.0;
const HEAD: f64 = 25.0;
const GAP: f64 = 10.0;
const ONE_LINE: f64 = 26.0;
const TWO_LINES: f64 = 38.0;
const SIZE: f64 = 12.0;
/// Between two ways that people come.
const CHANNEL_STEP: f64 = 84.0;
/// Above the first and below the last of them.
const CHANNEL_ROOM: f64 = 40.0;
/// A sign on a card.
const ICON: f64 = 20.0;
/// Between two rows.
const ROW_GAP: f64 = 4.0;

/// Whatever of these the reader has.
const FONTS: &str = "'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', 'Noto Sans', sans-serif";
const INK: &str = "#17212b";
const SOFT: &str = "#566573";
const LINE: &str = "#cfd8e0";
/// Behind the exchange.
const HALL: &str = "#e9f1f9";

/// Where the cards of one kind stand.
#[derive(Clone, Copy)]
struct Column {
    x: f64,
    width: f64,
}

impl Column {
    fn end(self) -> f64 {
        self.x + self.width
    }
}

/// Draws the picture.
pub fn svg(model: &Model, say: &Say<'_>) -> String {
    let sides = arrange(model);
    let service =
        |node: usize| (model.services[node].name.as_str(), SERVICE.width - icons_width(model, node));
    let client = |node: usize| (model.clients[node].name.as_str(), CLIENT.width);
    let registry = |node: usize| (model.registries[node].name.as_str(), REGISTRY.width - ICON);
    let offer = |node: usize| (model.offers[node].name.as_str(), OFFER.width);
    let mut left = frames(model, &sides.left, (SERVICE, CLIENT), service, client);
    let mut right = frames(model, &sides.right, (REGISTRY, OFFER), registry, offer);
    let bottom = level(&mut left, &mut right, least(model));
    Picture { model, say, left: &left, right: &right, bottom, out: String::new() }.draw()
}

struct Picture<'p> {
    model: &'p Model,
    say: &'p Say<'p>,
    left: &'p [Frame],
    right: &'p [Frame],
    /// Where both sides end.
    bottom: f64,
    /// What is drawn so far: what comes later lies above it.
    out: String,
}

impl Picture<'_> {
    fn draw(mut self) -> String {
        if self.left.is_empty() && self.right.is_empty() {
            let style = format!(r##"font-size="15" fill="{INK}""##);
            self.out += &text(MARGIN, TOP, &self.word("graph-nobody"), &style);
        } else {
            self.exchange();
            self.channels();
            self.left.iter().for_each(|frame| self.frame(frame, true));
            self.right.iter().for_each(|frame| self.frame(frame, false));
            self.calls();
            self.heads();
        }
        let height = self.foot();
        self.whole(height)
    }

    /// What Plinth itself says.
    fn word(&self, key: &str) -> String {
        (self.say)(key)
    }

    /// The document around what was drawn.
    fn whole(&self, height: f64) -> String {
        let Model { stack, instance, at, language, .. } = self.model;
        let title = format!("{} · {}", capital(stack), self.word("graph-title"));
        let counts = [
            (self.model.members.len(), "graph-organisations"),
            (self.model.services.len(), "directory"),
            (self.model.offers.len(), "graph-offers"),
            (self.model.registries.len(), "registers"),
            (self.model.calls.iter().filter(|call| call.state == State::InForce).count(), "graph-granted"),
        ];
        let counts: Vec<String> =
            counts.iter().map(|(n, key)| format!("{} {n}", capital(&self.word(key)))).collect();
        let counts = counts.join("  ·  ");
        let when = format!("{} {at}  ·  {instance}", self.word("as-of"));
        let language = escaped(language);
        let mut out = String::new();
        let size = format!(r#"viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}""#);
        let fonts = format!(r#"font-family="{FONTS}" font-size="{SIZE}""#);
        let read = format!(r#"role="img" aria-labelledby="title counts" xml:lang="{language}""#);
        let _ = writeln!(out, r#"<svg xmlns="http://www.w3.org/2000/svg" {size} {read} {fonts}>"#);
        let _ = writeln!(out, r#"<title id="title">{}</title>"#, escaped(&title));
        let _ = writeln!(out, r#"<desc id="counts">{}</desc>"#, escaped(&counts));
        let _ = writeln!(out, "<style>{}</style>", self.pointing());
        let _ = writeln!(out, r##"<rect width="{WIDTH}" height="{height:.0}" fill="#ffffff"/>"##);
        out += &text(MARGIN, 46.0, &title, &format!(r##"font-size="27" font-weight="700" fill="{INK}""##));
        out += &text(MARGIN, 70.0, &counts, &format!(r##"font-size="13" fill="{SOFT}""##));
        out += &text(
            WIDTH - MARGIN,
            46.0,
            &when,
            &format!(r##"font-size="13" text-anchor="end" fill="{SOFT}""##),
        );
        out += &self.out;
        out += "</svg>\n";
        out
    }

    /// Whatever is pointed at keeps its lines, and the others step back.
    fn pointing(&self) -> String {
        let mut style = ".call{fill:none;stroke-width:1.6;stroke-opacity:.72}".to_owned();
        style += ".call:hover{stroke-width:4;stroke-opacity:1}";
        let kinds = [
            ("c", self.model.clients.len()),
            ("o", self.model.offers.len()),
            ("s", self.model.services.len()),
            ("r", self.model.registries.len()),
        ];
        for (kind, n) in kinds {
            for node in 0..n {
                let _ = write!(
                    style,
                    "svg:has(#{kind}{node}:hover) .call:not(.{kind}{node}){{stroke-opacity:.05}}"
                );
            }
        }
        style
    }

    fn exchange(&mut self) {
        let Column { x, width } = EXCHANGE;
        let (y, height) = (TOP - 8.0, self.bottom - TOP + 16.0);
        let dashes = if self.model.exchange.is_some() { "" } else { r##" stroke-dasharray="6 5""## };
        let style = format!(r##"rx="14" fill="{HALL}" stroke="#8fb0d0" stroke-width="1.5"{dashes}"##);
        let _ =
            writeln!(self.out, r#"<rect x="{x}" y="{y:.1}" width="{width}" height="{height:.1}" {style}/>"#);
    }

    fn heads(&mut self) {
        let heads = [
            (CHANNEL.x, "graph-people", "start"),
            (SERVICE.x, "directory", "start"),
            (CLIENT.x, "graph-clients", "start"),
            (EXCHANGE.x + EXCHANGE.width / 2.0, "graph-exchange", "middle"),
            (OFFER.x, "graph-offers", "start"),
            (REGISTRY.x, "registers", "start"),
        ];
        for (x, key, anchor) in heads {
            let style = format!(r##"font-size="14" font-weight="700" fill="{INK}" text-anchor="{anchor}""##);
            self.out += &text(x, TOP - 18.0, &self.word(key), &style);
        }
        self.passing();
    }

    /// The exchange's name, and upright what it is for, where there is room.
    fn passing(&mut self) {
        let middle = EXCHANGE.x + EXCHANGE.width / 2.0;
        let halo = format!(
            r##"stroke="{HALL}" stroke-width="7" stroke-linejoin="round" paint-order="stroke" fill="#0b3c6d""##
        );
        let name = format!(r##"font-size="13" font-weight="700" text-anchor="middle" {halo}"##);
        self.out += &text(middle, TOP + 16.0, &self.model.instance, &name);
        let key = if self.model.exchange.is_some() { "graph-passes" } else { "graph-no-exchange" };
        let said = self.word(key);
        let (size, room) = (15.0, self.bottom - TOP - 40.0);
        // In one line, or in two of about the same length.
        let whole = width(&said, size);
        let lines = wrap(&said, size, if whole > room { room.min(0.6 * whole) } else { room }, 2);
        if lines.join(" ") != said || lines.iter().any(|line| width(line, size) > room) {
            return;
        }
        let count = lines.len() as f64;
        for (nth, line) in lines.iter().enumerate() {
            let (x, y) =
                (middle + 20.0 * (nth as f64 - (count - 1.0) / 2.0), (TOP + 24.0 + self.bottom) / 2.0);
            let upright = format!(r#"transform="translate({x:.1} {y:.1}) rotate(-90)""#);
            let centred = r#"text-anchor="middle" dominant-baseline="middle""#;
            let style = format!(r##"font-size="{size}" font-weight="600" {halo}"##);
            let _ = writeln!(self.out, "<text {upright} {centred} {style}>{}</text>", escaped(line));
        }
    }
}

/// A line between two points that leaves and arrives level.
fn curve((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    let bend = (x1 + x2) / 2.0;
    format!("M{x1:.1} {y1:.1}C{bend:.1} {y1:.1} {bend:.1} {y2:.1} {x2:.1} {y2:.1}")
}

fn text(x: f64, y: f64, said: &str, style: &str) -> String {
    format!(r##"<text x="{x:.1}" y="{y:.1}" {style}>{}</text>"##, escaped(said)) + "\n"
}

/// Text of several lines: what a browser shows of what is pointed at.
fn escaped_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(escaped).collect();
    lines.join("\n")
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

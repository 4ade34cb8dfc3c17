//! Below the picture: the building blocks, who stands aside, and what the signs mean.

use std::fmt::Write as _;

use plinth_api::v1alpha1::registry::Classification;

use super::calls::stroke;
use super::sign::{COLOURS, glyph, of_class};
use super::{INK, LINE, MARGIN, Picture, SIZE, SOFT, WIDTH, capital, text};
use crate::cli::graph::model::{Block, State};
use crate::cli::graph::text::{width, wrap};

impl Picture<'_> {
    /// Building blocks, organisations that stand aside, and what the signs mean. Says how high the picture is.
    pub fn foot(&mut self) -> f64 {
        let mut y = self.bottom + 52.0;
        self.out += &text(
            MARGIN,
            y,
            &self.word("graph-blocks"),
            &format!(r##"font-size="14" font-weight="700" fill="{INK}""##),
        );
        y += 14.0;
        let (wide, high, gap) = (218.0, 60.0, 12.0);
        let mut x = MARGIN;
        for block in &self.model.blocks {
            if x + wide > WIDTH - MARGIN {
                x = MARGIN;
                y += high + gap;
            }
            let _ = writeln!(
                self.out,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{wide}" height="{high}" rx="7" fill="#f6f8fa" stroke="{LINE}"/>"##
            );
            self.out += &glyph(x + 20.0, y + high / 2.0, &block.name, "#33475b", 1.25);
            self.out += &text(
                x + 40.0,
                y + 20.0,
                &wrap(&block.name, SIZE, wide - 50.0, 1).join(""),
                &format!(r##"font-weight="700" fill="{INK}""##),
            );
            let soft = format!(r##"font-size="11" fill="{SOFT}""##);
            self.out += &text(x + 40.0, y + 35.0, &block.product, &soft);
            self.out += &text(x + 40.0, y + 50.0, &self.used(block), &soft);
            x += wide + gap;
        }
        y += high + 30.0;
        y = self.aside(y);
        if self.left.is_empty() && self.right.is_empty() { y } else { self.legend(y) }
    }

    fn used(&self, block: &Block) -> String {
        let counts = [(block.services.len(), "directory"), (block.registries, "registers")];
        let used = counts.into_iter().filter(|(n, _)| *n > 0);
        used.map(|(n, key)| format!("{}: {n}", capital(&self.word(key)))).collect::<Vec<_>>().join(" · ")
    }

    fn aside(&mut self, y: f64) -> f64 {
        let idle: Vec<&str> =
            self.model.idle().into_iter().map(|member| self.model.members[member].name.as_str()).collect();
        if idle.is_empty() {
            return y;
        }
        let said = format!("{}: {}", self.word("graph-idle"), idle.join(", "));
        let lines = wrap(&said, SIZE, WIDTH - 2.0 * MARGIN, 3);
        for (nth, line) in lines.iter().enumerate() {
            self.out += &text(MARGIN, y + 16.0 * nth as f64, line, &format!(r##"fill="{SOFT}""##));
        }
        y + 16.0 * lines.len() as f64 + 14.0
    }

    /// What the lines and the colours mean.
    fn legend(&mut self, y: f64) -> f64 {
        let says = format!("{}; {}.", self.word("graph-line"), self.word("graph-colour"));
        self.out += &text(MARGIN, y, &says, &format!(r##"font-size="14" font-weight="700" fill="{INK}""##));
        let mut row = Row { x: MARGIN, y: y + 28.0, out: String::new() };
        for state in State::ALL {
            let (colour, dash) = stroke(state, COLOURS[0]);
            row.line(&format!(r##"stroke="{colour}" stroke-width="2.4"{dash}"##), &self.word(state.word()));
        }
        row.line(&format!(r##"stroke="{SOFT}" stroke-width="1.4""##), &self.word("graph-belongs"));
        row.next();
        for class in Classification::ALL {
            let (fill, ink) = of_class(class);
            let style = format!(r##"fill="{fill}" stroke="{ink}""##);
            row.boxed(&style, &self.word(&format!("classification-{}", class.word())));
        }
        let white = format!(r##"fill="#ffffff" stroke="{SOFT}""##);
        row.boxed(&format!(r##"{white} stroke-width="2.2""##), &self.word("priority-critical"));
        row.boxed(&format!(r##"{white} stroke-dasharray="4 3""##), &self.word("of-its-own"));
        self.out += &row.out;
        row.y + 34.0
    }
}

/// Samples with what they mean, from the left to the right and then below.
struct Row {
    x: f64,
    y: f64,
    out: String,
}

impl Row {
    fn line(&mut self, style: &str, said: &str) {
        self.entry(46.0, said, |x, y| format!(r##"<path d="M{x:.1} {y:.1}h46" {style}/>"##));
    }

    fn boxed(&mut self, style: &str, said: &str) {
        self.entry(24.0, said, |x, y| {
            let y = y - 8.0;
            format!(r##"<rect x="{x:.1}" y="{y:.1}" width="24" height="16" rx="4" {style}/>"##)
        });
    }

    fn entry(&mut self, wide: f64, said: &str, sample: impl Fn(f64, f64) -> String) {
        let whole = wide + 8.0 + width(said, SIZE) + 26.0;
        if self.x + whole > WIDTH - MARGIN && self.x > MARGIN {
            self.next();
        }
        self.out += &sample(self.x, self.y);
        self.out.push('\n');
        self.out += &text(self.x + wide + 8.0, self.y + 4.0, said, &format!(r##"fill="{INK}""##));
        self.x += whole;
    }

    fn next(&mut self) {
        self.x = MARGIN;
        self.y += 26.0;
    }
}

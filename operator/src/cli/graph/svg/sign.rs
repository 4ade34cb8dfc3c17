//! Colours and small signs.

use plinth_api::v1alpha1::registry::Classification;

/// Lines of one organisation have one colour: dark enough on white, and neighbours far from each other.
pub const COLOURS: [&str; 12] = [
    "#1f6fb4", "#c8560b", "#2a8c4a", "#a8327a", "#6d49b0", "#0f8587", "#9a6b12", "#c0392b", "#3b4cc0",
    "#5f7d1c", "#8c4a1f", "#4f6272",
];

/// The colour of what an organisation answers.
pub fn colour_of(member: usize) -> &'static str {
    COLOURS[member % COLOURS.len()]
}

/// Colours of how sensitive a record is.
pub fn of_class(classification: Classification) -> (&'static str, &'static str) {
    match classification {
        Classification::Public => ("#e3f5e8", "#2a7d46"),
        Classification::Internal => ("#e6eff9", "#2f6298"),
        Classification::Personal => ("#fdf0d8", "#a66a00"),
        Classification::Sensitive => ("#fde3e3", "#b3261e"),
    }
}

/// A small sign, drawn around its middle. GovStack's blocks and the ways that people come have one of their own; any other
/// block has the same.
pub fn glyph(x: f64, y: f64, name: &str, colour: &str, scale: f64) -> String {
    let path = match name {
        "identity" => "M-3 -3a3 3 0 1 0 6 0a3 3 0 1 0 -6 0M-6 7c0 -7 12 -7 12 0",
        "e-signature" => "M-6 6l2 -5l7 -7l3 3l-7 7zM1 -4l3 3",
        "consent" => "M-6 -6h12v12h-12zM-3 0l2.5 3l4 -6",
        "messaging" => "M-7 -5h14v10h-14zM-7 -5l7 6l7 -6",
        "wallet" => "M-7 -5h14v10h-14zM-7 -2h14M2 2h3",
        "payments" => "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0M-3 -1.5h6M-3 1.5h6",
        "registry" | "digital-registries" => {
            "M-6 -4a6 2.4 0 1 0 12 0a6 2.4 0 1 0 -12 0M-6 -4v8c0 3.2 12 3.2 12 0v-8M-6 0c0 3.2 12 3.2 12 0"
        }
        "information-mediator" => "M-7 -3h11l-3 -3M7 3h-11l3 3",
        "App" => "M-4 -7h8v14h-8zM-1 5h2",
        "Web" => "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0 -14 0M-7 0h14M0 -7c-5 4 -5 10 0 14c5 -4 5 -10 0 -14",
        "Ussd" => "M-4 -7h8v14h-8zM-4 -1h8M-1.5 2h0M1.5 2h0M-1.5 4.5h0M1.5 4.5h0",
        "Sms" => "M-7 -6h14v9h-8l-4 4v-4h-2z",
        "Assisted" => {
            "M-6 -3a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0 -4.8 0M1.2 -3a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0 -4.8 0M-8 6c0 -6 8 -6 8 0c0 -6 8 -6 8 0"
        }
        _ => "M-6 -6h5v5h-5zM1 -6h5v5h-5zM-6 1h5v5h-5zM1 1h5v5h-5z",
    };
    let place = format!(r#"transform="translate({x:.1} {y:.1}) scale({scale})""#);
    let round = r#"stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round""#;
    format!(r#"<path {place} d="{path}" fill="none" stroke="{colour}" {round}/>"#) + "\n"
}

//! Text in a picture: how wide it is without asking for a font, and what of it fits.

/// Width of a text in a plain sans-serif font. Rather too wide than too narrow: no reader has the same fonts.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| advance(c) * size).sum()
}

/// Width of a character, in parts of the font's size.
fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'і' | 'ї' | '’' | '·' => 0.30,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | ' ' | '-' | '/' | '"' | '“' | '”' | '«' | '»' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | 'ж' | 'ш' | 'щ' | 'ю' | 'ф' | 'м' | 'ы' => 0.84,
        'Ж' | 'Ш' | 'Щ' | 'Ю' | 'Ф' | 'М' => 1.0,
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => 0.57,
        c if c.is_uppercase() => 0.70,
        c if u32::from(c) >= 0x1100 => 1.0,
        _ => 0.60,
    }
}

/// The text in at most so many lines, broken between words; what does not fit is cut, which `…` says.
pub fn wrap(text: &str, size: f64, max: f64, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut words = text.split_whitespace().peekable();
    while out.len() < lines && words.peek().is_some() {
        let mut line = String::new();
        while let Some(word) = words.peek() {
            let longer = if line.is_empty() { (*word).to_owned() } else { format!("{line} {word}") };
            if width(&longer, size) > max && !line.is_empty() {
                break;
            }
            line = longer;
            words.next();
        }
        out.push(line);
    }
    let cut = words.peek().is_some();
    if let Some(last) = out.last_mut()
        && (cut || width(last, size) > max)
    {
        *last = shortened(last, size, max);
    }
    out
}

/// As many characters as fit, and `…`.
fn shortened(text: &str, size: f64, max: f64) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        if width(&kept, size) + (advance(c) + 0.9) * size > max {
            break;
        }
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}

/// Text as it stands between XML's brackets and quotes. What XML cannot say at all is left out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_broken_between_words_and_then_cut() {
        assert_eq!(wrap("Register of births", 12.0, 400.0, 2), ["Register of births"]);
        assert_eq!(wrap("Register of births", 12.0, 80.0, 2), ["Register of", "births"]);
        let cut = wrap("Register of births and deaths and marriages", 12.0, 80.0, 2);
        assert!(cut.len() == 2 && cut[1].ends_with('…'), "{cut:?}");
        assert!(cut.iter().all(|line| width(line, 12.0) <= 80.0), "{cut:?}");
        assert!(wrap("Donaudampfschifffahrtsgesellschaft", 12.0, 80.0, 2)[0].ends_with('…'));
        assert!(wrap("", 12.0, 80.0, 2).is_empty());
    }

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("<a href=\"x\">&'\u{0}"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}

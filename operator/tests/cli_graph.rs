//! `plinth graph`: the country as a picture.

mod support;

use serde_json::Value;
use support::{AGENCIES, Ran, agencies_with, plinth, with_input};

const AT: &str = "2026-06-01";

fn graph(args: &[&str]) -> String {
    let ran = plinth(&[&["graph", "-f", AGENCIES, "--at", AT], args].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out
}

fn of(text: &str, args: &[&str]) -> Ran {
    with_input(&[&["graph", "-f", "-", "--at", AT], args].concat(), text)
}

/// Every tag is closed in its order.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in svg.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_picture_shows_who_may_call_what_and_who_would_like_to() {
    let svg = graph(&[]);
    assert_well_formed(&svg);
    for expected in [
        "Хто до чого може звертатися",
        "Народження дитини",
        "Записи про народження",
        "Реєстр платників податків",
        "угода діє: civil/births-to-app",
        "угода почне діяти пізніше: civil/births-to-offices",
        "запитано, не погоджено: app/aid",
        "угода закінчилася: tax/incomes-to-app",
        "information-mediator",
    ] {
        assert!(svg.contains(expected), "{expected}");
    }
    let calls =
        |dash: &str| svg.lines().filter(|l| l.starts_with("<path class=\"call ") && l.contains(dash)).count();
    let dashes = ["<title>", "\"9 5\"", "\"2 5\"", "\"12 4 2 4\""];
    assert_eq!(dashes.map(calls), [4, 1, 1, 1], "all, later, asked for, ended");
    for foreign in ["<script", "http://", "https://", "url(", "@import", "<image", "href"] {
        let own = svg.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(foreign), "{foreign}: a picture stands alone");
    }
    assert_eq!(svg, graph(&[]), "the same country gives the same picture");
}

#[test]
fn it_speaks_the_languages_of_the_country() {
    let svg = graph(&["--language", "en"]);
    assert!(svg.contains("A child is born") && svg.contains("agreement in force"), "{svg}");
    let ran = plinth(&["graph", "-f", AGENCIES, "--language", "fr"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("`fr` is no language of the Stack; it has uk, en"), "{}", ran.err);
}

#[test]
fn whatever_agencies_write_is_text() {
    let hostile = "</text><script>alert(1)</script>#quot; \\\" ]] --> } \\\\";
    for (from, to) in [
        ("en: A child is born }", format!("en: \"{hostile}\" }}")),
        ("en: Civil Registration }", format!("en: \"{hostile}\" }}")),
        ("en: Records of births }", format!("en: \"{hostile}\" }}")),
        ("en: Register of births }\n  external", format!("en: \"{hostile}\" }}\n  external")),
    ] {
        let text = agencies_with(from, &to);
        let svg = of(&text, &["--language", "en"]).out;
        assert_well_formed(&svg);
        assert!(!svg.contains("<script"), "{from}");
        let mermaid = of(&text, &["--language", "en", "--format", "mermaid"]).out;
        assert!(
            mermaid.lines().all(|line| line.matches('"').count() % 2 == 0 && !line.contains("<script")),
            "{mermaid}"
        );
        let dot = of(&text, &["--language", "en", "--format", "dot"]).out;
        let bare = dot.replace("\\\\", "").replace("\\\"", "");
        assert!(bare.lines().all(|line| line.matches('"').count() % 2 == 0), "{dot}");
    }
}

#[test]
fn every_picture_says_what_its_lines_and_colours_mean() {
    for format in ["svg", "mermaid", "dot"] {
        let picture = graph(&["--language", "en", "--format", format]);
        for meaning in [
            "A line leads from who asks to who answers",
            "agreement in force",
            "agreement that begins later",
            "asked for, not agreed",
            "agreement that has ended",
            "belongs together",
            "sensitive personal data",
        ] {
            assert!(picture.contains(meaning), "{format}: {meaning}\n{picture}");
        }
    }
}

#[test]
fn an_agreement_is_drawn_as_it_stands_at_the_moment_that_is_asked_about() {
    let states = |at: &str| {
        let ran = plinth(&["graph", "-f", AGENCIES, "--at", at, "-o", "json"]);
        let model: Value = serde_json::from_str(&ran.out).unwrap();
        let calls = model["calls"].as_array().unwrap().iter();
        calls
            .map(|call| format!("{}: {}", call["why"][0].as_str().unwrap(), call["state"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let aid = "app/aid: asked";
    assert_eq!(
        states("2024-06-01"),
        [
            aid,
            "civil/births-to-app: inForce",
            "tax/incomes-to-app: inForce",
            "civil/births-to-offices: scheduled"
        ]
    );
    assert_eq!(
        states("2031-06-01"),
        [aid, "app/birth: asked", "tax/incomes-to-app: expired", "civil/births-to-offices: inForce"]
    );
}

#[test]
fn mermaid_and_graphviz_say_the_same() {
    insta::assert_snapshot!("mermaid", graph(&["--language", "en", "--format", "mermaid"]));
    insta::assert_snapshot!("dot", graph(&["--language", "en", "--format", "dot"]));
}

#[test]
fn the_graph_is_data_as_well() {
    let model: Value = serde_json::from_str(&graph(&["-o", "json", "--language", "en"])).unwrap();
    assert_eq!(model["registries"][0]["name"], "Register of births");
    let call = &model["calls"][0];
    assert_eq!((&call["state"], &call["why"][0]), (&"asked".into(), &"app/aid".into()));
    insta::assert_snapshot!("table", graph(&["-o", "table"]));
}

#[test]
fn what_cannot_be_drawn_is_said_and_the_rest_is_drawn() {
    let wrong = agencies_with(
        "subsystem: register, service: births }\n  endpoints",
        "subsystem: register, service: deaths }\n  endpoints",
    );
    let ran = of(&wrong, &["--language", "en"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("ExchangeAgreement civil/births-to-app: spec.provider.service"), "{}", ran.err);
    assert!(!ran.out.contains("civil/births-to-app") && ran.out.contains("civil/births-to-offices"));
    let ran = of("kind: Stak", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    let ran = of(&wrong, &["--format", "png"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("possible values: svg, mermaid, dot"), "{}", ran.err);
}

#[test]
fn the_picture_in_the_readme_is_the_one_that_is_drawn() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let folder = format!("{root}/examples/peru");
    let drawn = plinth(&["graph", "-f", &folder, "--language", "en", "--at", "2026-12-01"]);
    assert_eq!((drawn.code, drawn.err.as_str()), (0, ""));
    let kept = std::fs::read_to_string(format!("{root}/docs/images/peru.svg")).unwrap();
    let renew = "plinth graph -f examples/peru --language en --at 2026-12-01 > docs/images/peru.svg";
    assert!(kept == drawn.out, "it is out of date: {renew}");
}

#[test]
fn a_country_without_agencies_is_drawn_too() {
    for format in ["svg", "mermaid", "dot"] {
        let ran = plinth(&["graph", "-f", support::DEMO, "--format", format]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{format}");
        assert!(ran.out.contains("x-greeter"), "{format}\n{}", ran.out);
    }
    let svg = plinth(&["graph", "-f", support::DEMO]).out;
    assert_well_formed(&svg);
    assert!(svg.contains("No organisation takes part in the exchange yet."), "{svg}");
}

#[test]
fn a_country_whose_calls_nothing_carries_says_so() {
    let text = agencies_with("capability: exchange, host", "capability: x-exchange, host");
    for format in ["svg", "mermaid", "dot"] {
        let ran = of(&text, &["--language", "en", "--format", format]);
        assert!(ran.out.contains("There is no exchange"), "{format}\n{}", ran.out);
    }
}

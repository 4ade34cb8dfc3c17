//! The pages beside blocks: sandboxes, continuity, the map.

use anyhow::{Result, ensure};
use fantoccini::Locator;
use fantoccini::key::Key;

use crate::Page;
use crate::machine::Machine;

/// Its cost against its budget, its end, and why it sleeps: live, and for a reader of the screen as well.
pub async fn a_sandbox_says_what_it_costs_and_why_it_sleeps(
    page: &Page<'_>,
    machine: &Machine,
) -> Result<()> {
    page.opens("#/sandboxes").await?;
    page.shows("main h1", "Sandboxes").await?;
    page.shows("main p", "no Sandbox that you may see").await?;
    machine.price_sandboxes()?;
    machine.make_sandbox("families", "14d")?;
    page.shows(".card h2", "families").await?;
    page.shows(".card.good .sign", "Awake").await?;
    page.shows("dd", "in 13 days").await?;
    page.shows("dd", "this month, of €250.00").await?;
    machine.ask_of_sandbox("families", "Sleep", "the weekend")?;
    page.shows(".card .sign", "Asleep").await?;
    page.shows(".card p", "because somebody asked").await?;
    page.shows("#news", "Asleep").await?;
    // What wants a person comes first, with the field that is wrong.
    machine.make_sandbox("forever", "365d")?;
    page.shows(".card.bad:first-child p", "spec.ttl").await?;
    page.keeps_axes_rules("the sandboxes").await?;
    page.fits("the sandboxes").await?;
    page.picture("sandboxes").await?;
    // The name leads to its Stack.
    page.browser.client.find(Locator::LinkText("families")).await?.click().await?;
    page.shows(".lead", "asleep").await
}

/// What is switched off and why, and how old backups are; all of it marked once it is too old.
pub async fn what_runs_less_is_told_and_what_is_late(page: &Page<'_>, machine: &Machine) -> Result<()> {
    page.opens("#/dpi/ukraine").await?;
    page.browser.client.find(Locator::LinkText("Continuity")).await?.click().await?;
    page.shows(".lead .sign", "Normal").await?;
    page.shows("main p", "Nothing is backed up").await?;
    machine.switch_off_and_back_up()?;
    page.shows("td", "sends twice").await?;
    page.shows("td", "its disks are full").await?;
    machine.ask_for_takeover("digital-registries")?;
    page.shows("td .sign.bad", "Refused").await?;
    page.shows("td", "nothing stands by for block `digital-registries`").await?;
    page.shows("main table th", "identity/db").await?;
    page.shows("td .sign.good", "In time").await?;
    page.keeps_axes_rules("continuity").await?;
    page.picture("continuity").await?;
    page.fits("continuity").await?;
    // Two days later, as far as the browser knows.
    page.script("const now = Date.now; Date.now = () => now() + 2 * 86400e3;").await?;
    page.opens("#/dpi/ukraine").await?;
    page.opens("#/dpi/ukraine/~continuity").await?;
    page.shows("td .sign.bad", "Late").await?;
    page.browser.client.refresh().await?;
    machine.switch_on_again()?;
    page.shows("main p", "Nothing is backed up").await?;
    page.opens("#/dpi/ukraine").await?;
    page.shows(".lead .sign.good", "Ready").await
}

/// Who is connected with what, in a picture and in a table; by keyboard from the whole to one node and on to its page.
pub async fn the_map_is_walked_by_keyboard(page: &Page<'_>) -> Result<()> {
    page.opens("#/dpi/ukraine/~map").await?;
    page.shows("main h2", "Connections").await?;
    let nodes = page.count("svg.map a").await?;
    let lines = page.count("svg.map path").await?;
    let told = page.count("main table tbody tr").await?;
    ensure!(nodes > 30 && lines > 50 && told >= lines, "{nodes} nodes, {lines} lines, {told} rows");
    page.keeps_axes_rules("the map").await?;
    page.picture("map").await?;
    page.fits("the map").await?;
    let node = page.browser.client.find(Locator::Css("svg.map a[aria-label^='digital-registries']")).await?;
    page.script("document.querySelector(\"svg.map a[aria-label^='digital-registries']\").focus()").await?;
    node.send_keys(&Key::Enter).await?;
    page.shows("main p", "What digital-registries is connected with").await?;
    ensure!(page.count("svg.map a").await? < nodes, "all of it is shown");
    page.shows("main table td", "digital-registries").await?;
    page.browser.client.find(Locator::LinkText("The building block")).await?.click().await?;
    page.shows("main h1", "digital-registries").await
}

/// A country of several sites in the middle of a takeover: what its status would say is told to the page's own module, for one machine has
/// no second site. That statuses do say it is tried in `operator/tests/sites`.
const SITES: &str = r#"
    const done = arguments[arguments.length - 1];
    const standby = [{ cluster: "south", state: "Ready" }, { cluster: "hub", state: "Absent", message: "Secret/a/b is not there" }];
    const view = { mode: "Normal", conditions: [], blocks: [{ name: "identity", cluster: "north", state: "Unreachable", standby }] };
    import("/web/continuity.js").then(({ continuity }) => {
        const place = document.createElement("div");
        const asked = { type: "Failover", takeover: { block: "identity", to: "south" }, steps: ["stopped"], by: "mia", at: new Date() };
        const over = { ...asked, phase: "Succeeded", message: "took 4 minutes", finishedAt: new Date() };
        const store = { operations: () => [{ view: over }, { view: asked }] };
        place.append(...continuity(store, { namespace: "dpi", name: "land", view }).flat(Infinity).filter(Boolean));
        const words = (row) => [...row.children].map((cell) => cell.textContent.trim()).join(" | ");
        done([...place.querySelectorAll("tbody tr")].map(words));
    });
"#;

/// What is under way comes before what has ended; each standby is named with what it lacks.
pub async fn a_takeover_and_the_standbys_are_told(page: &Page<'_>) -> Result<()> {
    let rows = page.browser.client.execute_async(SITES, Vec::new()).await?;
    let rows: Vec<String> = serde_json::from_value(rows)?;
    let expected = [
        "identity | Failover → south | ◐ Under way | stopped | mia | now",
        "identity | Failover → south | ✔ Done | took 4 minutes | mia | now",
        "identity | north | south | ✔ Ready | ",
        "identity | north | hub | ◐ Absent | Secret/a/b is not there",
    ];
    ensure!(rows == expected, "{rows:#?}");
    Ok(())
}

/// The certificates of a country, the next to end first, each with who brings the next one; what is wrong with one once it is.
pub async fn certificates_are_told_before_they_end(page: &Page<'_>, machine: &Machine) -> Result<()> {
    page.opens("#/dpi/ukraine/~continuity").await?;
    page.shows(&certificates("th"), "Secret hromada-north/exchange-").await?;
    page.shows(&certificates("td"), "Plinth").await?;
    page.shows(&certificates("td .sign.good"), "In time").await?;
    machine.trust_an_authority_that_ends_in(20)?;
    // What people have to replace comes before what is renewed by itself, for it ends sooner.
    page.shows(&certificates("tbody tr:first-child"), "ConfigMap dpi/country-ca").await?;
    page.shows(&certificates("tbody tr:first-child td .sign.work"), "To be replaced").await?;
    page.keeps_axes_rules("the certificates").await?;
    page.fits("the certificates").await?;
    pictures_the_certificates(page, "certificates").await?;
    page.browser.client.set_window_size(390, 844).await?;
    pictures_the_certificates(page, "certificates-phone").await?;
    page.browser.client.set_window_size(1200, 900).await?;
    for (days, said) in [(30, "Has ended"), (80, "Late")] {
        page.script(&format!("window.now ??= Date.now; Date.now = () => now() + {days} * 86400e3;")).await?;
        page.opens("#/dpi/ukraine").await?;
        page.opens("#/dpi/ukraine/~continuity").await?;
        page.shows(&certificates("td .sign.bad"), said).await?;
    }
    page.browser.client.refresh().await?;
    page.shows("main h1", "ukraine").await
}

/// A selector within the table of certificates.
fn certificates(within: &str) -> String {
    format!("[aria-label=Certificates] {within}")
}

/// A picture of the table, of a page that shows it already or is opened with it.
pub async fn pictures_the_certificates(page: &Page<'_>, name: &str) -> Result<()> {
    page.opens("#/dpi/ukraine/~continuity").await?;
    page.shows(&certificates("th"), "ConfigMap dpi/country-ca").await?;
    // With the heading and what is said below it: the table's first rows are those that somebody has to see.
    page.script(
        "document.querySelector('[aria-label=Certificates]').previousElementSibling.previousElementSibling.scrollIntoView()",
    )
    .await?;
    page.picture(name).await
}

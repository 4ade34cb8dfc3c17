//! Every way to break an entry in one place.

use plinth_api::ProductSpec;
use plinth_api::v1alpha1::product::Named;
use serde_json::Value;

/// No entry has a name with this in it.
const MARK: &str = "zq";

/// An entry with one place changed.
pub struct Mutant {
    /// Kind of change.
    pub class: &'static str,
    /// Where.
    pub site: String,
    /// The changed entry.
    pub spec: ProductSpec,
    /// A name that was changed: new and old.
    pub renamed: Option<(String, String)>,
}

/// Every way is counted; of so many one is made, for a changed copy of a large entry is large.
struct Made<'a> {
    original: &'a ProductSpec,
    stride: usize,
    seen: usize,
    mutants: Vec<Mutant>,
}

impl Made<'_> {
    fn make(&mut self, class: &'static str, site: String, change: impl FnOnce(&mut ProductSpec)) {
        self.change(class, site, None, change);
    }

    fn rename(
        &mut self,
        class: &'static str,
        site: String,
        new: &str,
        old: &str,
        change: impl FnOnce(&mut ProductSpec),
    ) {
        self.change(class, site, Some((new.to_owned(), old.to_owned())), change);
    }

    fn change(
        &mut self,
        class: &'static str,
        site: String,
        renamed: Option<(String, String)>,
        change: impl FnOnce(&mut ProductSpec),
    ) {
        let due = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !due {
            return;
        }
        let mut spec = self.original.clone();
        change(&mut spec);
        assert_ne!(&spec, self.original, "{class}: {site} changed nothing");
        self.mutants.push(Mutant { class, site, spec, renamed });
    }
}

/// The mutants of an entry: `share` of them, evenly spread, or all.
pub fn of(spec: &ProductSpec, share: Option<usize>) -> Vec<Mutant> {
    let stride = match share {
        None => 1,
        Some(share) => every(spec, usize::MAX).seen.div_ceil(share.max(1)).max(1),
    };
    every(spec, stride).mutants
}

fn every(spec: &ProductSpec, stride: usize) -> Made<'_> {
    let mut made = Made { original: spec, stride, seen: 0, mutants: Vec::new() };
    components(&mut made, spec);
    declarations(&mut made, spec);
    numbers(&mut made, spec);
    references(&mut made, spec);
    databases(&mut made, spec);
    made
}

fn is_reference(named: &Named) -> bool {
    let refers = |text: &String| {
        ["requires.", "components.", "components[", "secrets.", "params.", "routes."]
            .iter()
            .any(|n| text.contains(n))
    };
    named.reference.is_some() || named.cel.as_ref().is_some_and(refers)
}

fn components(made: &mut Made<'_>, spec: &ProductSpec) {
    for (i, component) in spec.components.iter().enumerate() {
        let name = &component.name;
        let new = format!("{name}{MARK}");
        made.rename("rename a component", name.clone(), &new, name, |s| {
            s.components[i].name.clone_from(&new)
        });
        for (j, port) in component.ports.iter().enumerate() {
            let new = format!("{MARK}{j}{}", &port.name[..port.name.len().min(12)]);
            made.rename("rename a port", format!("{name}:{}", port.name), &new, &port.name, |s| {
                s.components[i].ports[j].name.clone_from(&new);
            });
        }
        for (j, edge) in component.after.iter().enumerate() {
            made.make("drop an after edge", format!("{name} after {edge}"), |s| {
                drop(s.components[i].after.remove(j))
            });
        }
        for (j, edge) in component.connects.iter().enumerate() {
            made.make("drop a connects", format!("{name} connects {edge}"), |s| {
                drop(s.components[i].connects.remove(j));
            });
        }
        for (j, mount) in component.mounts.iter().enumerate() {
            let kind = if mount.config.is_some() || mount.secret.is_some() {
                "drop a mount of configuration"
            } else if mount.volume.is_some() {
                "drop a mount of a volume"
            } else {
                "drop a mount of scratch"
            };
            made.make(kind, format!("{name} mounts {}", mount.path), |s| {
                drop(s.components[i].mounts.remove(j))
            });
        }
        for (j, variable) in component.env.iter().enumerate().filter(|(_, v)| is_reference(v)) {
            made.make("drop a variable with a reference", format!("{name} env {}", variable.name), |s| {
                drop(s.components[i].env.remove(j));
            });
        }
    }
    for (i, step) in spec.onboarding.iter().enumerate() {
        for (j, edge) in step.connects.iter().enumerate() {
            made.make("drop a connects", format!("step {} connects {edge}", step.name), |s| {
                drop(s.onboarding[i].connects.remove(j));
            });
        }
        for (j, variable) in step.variables.iter().enumerate() {
            made.make("drop a variable of a step", format!("{} {}", step.name, variable.name), |s| {
                drop(s.onboarding[i].variables.remove(j));
            });
        }
    }
    for (i, object) in spec.objects.iter().enumerate() {
        for (j, edge) in object.after.iter().enumerate() {
            made.make("drop an after edge", format!("{} after {edge}", object.name), |s| {
                drop(s.objects[i].after.remove(j));
            });
        }
    }
}

fn declarations(made: &mut Made<'_>, spec: &ProductSpec) {
    for (i, secret) in spec.secrets.iter().enumerate() {
        for (j, key) in secret.keys.iter().enumerate() {
            let site = format!("{}.{}", secret.name, key.name);
            made.make("drop a Secret key", site.clone(), |s| drop(s.secrets[i].keys.remove(j)));
            made.make("rename a Secret key", site, |s| s.secrets[i].keys[j].name += MARK);
        }
    }
    for (i, provision) in spec.provides.iter().enumerate() {
        let capability = &provision.capability;
        for (j, output) in provision.outputs.iter().enumerate() {
            made.make("drop an output", format!("{capability}.{}", output.name), |s| {
                drop(s.provides[i].outputs.remove(j));
            });
        }
        if provision.ready_after.is_some() {
            made.make("drop readyAfter", capability.clone(), |s| s.provides[i].ready_after = None);
        }
    }
    for (i, config) in spec.configs.iter().enumerate() {
        for (j, file) in config.files.iter().enumerate() {
            let site = format!("{}/{}", config.name, file.name);
            made.make("drop a file", site.clone(), |s| drop(s.configs[i].files.remove(j)));
            made.make("rename a file", site, |s| {
                let name = &mut s.configs[i].files[j].name;
                *name = format!("{MARK}{name}");
            });
        }
    }
    for (i, requirement) in spec.requires.iter().enumerate() {
        made.make("drop a requirement", requirement.name.clone(), |s| drop(s.requires.remove(i)));
        let topics = requirement.parameters.get("topics").and_then(Value::as_array);
        for (j, topic) in topics.into_iter().flatten().enumerate() {
            made.make("drop a topic", format!("{}: {topic}", requirement.name), |s| {
                if let Some(list) = s.requires[i].parameters["topics"].as_array_mut() {
                    drop(list.remove(j));
                }
            });
        }
    }
    for (i, version) in spec.versions.iter().enumerate().take(1) {
        for image in version.images.keys() {
            made.make("drop an image", image.clone(), |s| drop(s.versions[i].images.remove(image)));
        }
    }
}

/// Port numbers, at the declaration and wherever else one is written out.
fn numbers(made: &mut Made<'_>, spec: &ProductSpec) {
    let declared: Vec<u16> = spec.components.iter().flat_map(|c| &c.ports).map(|p| p.port).collect();
    for (i, component) in spec.components.iter().enumerate() {
        let name = &component.name;
        for (j, port) in component.ports.iter().enumerate() {
            made.make(
                "change a declared port number",
                format!("{name}:{} ({})", port.name, port.port),
                |s| {
                    s.components[i].ports[j].port += 17;
                },
            );
        }
        let numbers = |text: &str| -> Vec<u16> {
            declared.iter().copied().filter(|n| *n > 999 && word(text, *n)).collect()
        };
        for (j, variable) in component.env.iter().enumerate() {
            for number in
                variable.value.iter().flat_map(|v| numbers(v)).collect::<std::collections::BTreeSet<_>>()
            {
                made.make(
                    "change a written port number",
                    format!("{name} env {} ({number})", variable.name),
                    |s| {
                        let value = &mut s.components[i].env[j].value;
                        *value = value.as_ref().map(|v| bump(v, number));
                    },
                );
            }
        }
        for (j, text) in component.args.iter().enumerate() {
            for number in numbers(text) {
                made.make("change a written port number", format!("{name} args[{j}] ({number})"), |s| {
                    s.components[i].args[j] = bump(text, number);
                });
            }
        }
        for (j, text) in component.command.iter().enumerate() {
            for number in numbers(text) {
                made.make("change a written port number", format!("{name} command[{j}] ({number})"), |s| {
                    s.components[i].command[j] = bump(text, number);
                });
            }
        }
        let readiness = component.probes.readiness.as_ref();
        for (j, text) in readiness.into_iter().flat_map(|p| &p.command).enumerate() {
            for number in numbers(text) {
                made.make("change a written port number", format!("{name} readiness ({number})"), |s| {
                    if let Some(probe) = &mut s.components[i].probes.readiness {
                        probe.command[j] = bump(text, number);
                    }
                });
            }
        }
    }
    for (i, config) in spec.configs.iter().enumerate() {
        for (j, file) in config.files.iter().enumerate() {
            let Some(text) = &file.template else { continue };
            for number in declared
                .iter()
                .filter(|n| **n > 999 && word(text, **n))
                .collect::<std::collections::BTreeSet<_>>()
            {
                made.make(
                    "change a written port number",
                    format!("{}/{} ({number})", config.name, file.name),
                    |s| {
                        s.configs[i].files[j].template = Some(bump(text, *number));
                    },
                );
            }
        }
    }
}

fn word(text: &str, number: u16) -> bool {
    let number = number.to_string();
    text.match_indices(&number).any(|(at, _)| {
        !text[..at].ends_with(|c: char| c.is_ascii_digit())
            && !text[at + number.len()..].starts_with(|c: char| c.is_ascii_digit())
    })
}

fn bump(text: &str, number: u16) -> String {
    text.replacen(&number.to_string(), &(number + 17).to_string(), 1)
}

/// Every text of the entry that may refer to something, with a way to change it.
type Site = (String, String, Box<dyn Fn(&mut ProductSpec, String)>);

fn texts(spec: &ProductSpec) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for (i, component) in spec.components.iter().enumerate() {
        for (j, variable) in component.env.iter().enumerate() {
            let site = format!("{} env {}", component.name, variable.name);
            if let Some(text) = &variable.reference {
                let set = move |s: &mut ProductSpec, t| s.components[i].env[j].reference = Some(t);
                sites.push((site.clone(), text.clone(), Box::new(set)));
            }
            if let Some(text) = &variable.cel {
                let set = move |s: &mut ProductSpec, t| s.components[i].env[j].cel = Some(t);
                sites.push((site, text.clone(), Box::new(set)));
            }
        }
    }
    for (i, provision) in spec.provides.iter().enumerate() {
        for (j, output) in provision.outputs.iter().enumerate() {
            let site = format!("output {}.{}", provision.capability, output.name);
            if let Some(text) = &output.cel {
                let set = move |s: &mut ProductSpec, t| s.provides[i].outputs[j].cel = Some(t);
                sites.push((site, text.clone(), Box::new(set)));
            }
        }
    }
    for (i, config) in spec.configs.iter().enumerate() {
        for (j, file) in config.files.iter().enumerate() {
            if let Some(text) = &file.template {
                let set = move |s: &mut ProductSpec, t| s.configs[i].files[j].template = Some(t);
                sites.push((format!("file {}/{}", config.name, file.name), text.clone(), Box::new(set)));
            }
        }
    }
    sites
}

/// A reference to a host or a port becomes one to another host or port of the entry.
fn references(made: &mut Made<'_>, spec: &ProductSpec) {
    let called: Vec<String> = spec.requires.iter().map(|r| format!("requires.{}", r.name)).collect();
    let own: Vec<(String, String)> = spec
        .components
        .iter()
        .filter(|c| c.for_each.is_none())
        .filter_map(|c| Some((c.name.clone(), c.ports.first()?.name.clone())))
        .collect();
    for (site, text, set) in texts(spec) {
        for output in ["host", "port"] {
            for from in called.iter().map(|c| format!("{c}.{output}")).filter(|f| contains(&text, f)) {
                let others = called.iter().map(|c| format!("{c}.{output}"));
                let served = own.iter().map(|(component, port)| match output {
                    "host" => format!("components['{component}'].host"),
                    _ => format!("components['{component}'].ports['{port}']"),
                });
                // A plain reference is a dotted path.
                let path = from == text;
                let served = served.map(|s| if path { dotted(&s) } else { s });
                for to in others.chain(served).filter(|to| *to != from).take(3) {
                    made.make("change a reference", format!("{site}: {from} -> {to}"), |s| {
                        set(s, replace(&text, &from, &to));
                    });
                }
            }
        }
        for (component, port) in &own {
            for from in [
                format!("components.{component}"),
                format!("components['{component}']"),
                format!("components[\"{component}\"]"),
            ] {
                if !contains(&text, &from) {
                    continue;
                }
                for (other, other_port) in own.iter().filter(|(o, _)| o != component).take(2) {
                    let to = if from.contains('[') {
                        from.replace(component, other)
                    } else if text.contains("ref:") {
                        dotted(other)
                    } else {
                        format!("components.{other}")
                    };
                    let to = if text != from
                        && !text.starts_with("components.")
                        && to.contains('-')
                        && !to.contains('[')
                    {
                        format!("components['{other}']")
                    } else {
                        to
                    };
                    made.make("change a reference", format!("{site}: {from} -> {to}"), |s| {
                        let text = replace(&text, &from, &to);
                        set(s, text.replace(&format!(".ports.{port}"), &format!(".ports['{other_port}']")));
                    });
                }
            }
        }
    }
}

fn dotted(text: &str) -> String {
    text.replace("['", ".").replace("']", "")
}

fn contains(text: &str, reference: &str) -> bool {
    text.match_indices(reference).any(|(at, _)| {
        !text[at + reference.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    })
}

fn replace(text: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let after = &rest[at + from.len()..];
        let whole = !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        out += &rest[..at];
        out += if whole { to } else { from };
        rest = after;
    }
    out + rest
}

/// Two requirements with a database each: one is used where the other was meant, or both claim the same.
fn databases(made: &mut Made<'_>, spec: &ProductSpec) {
    let claims: Vec<(usize, &str)> = spec
        .requires
        .iter()
        .enumerate()
        .filter(|(_, r)| r.parameters.contains_key("database"))
        .map(|(i, r)| (i, r.name.as_str()))
        .collect();
    for (i, one) in &claims {
        for (j, two) in claims.iter().filter(|(j, _)| j != i) {
            for (site, text, set) in texts(spec) {
                for output in ["database", "username", "password"] {
                    let from = format!("requires.{one}.{output}");
                    if contains(&text, &from) {
                        let to = format!("requires.{two}.{output}");
                        made.make("swap databases and logins", format!("{site}: {from} -> {to}"), |s| {
                            set(s, replace(&text, &from, &to));
                        });
                    }
                }
            }
            if spec.requires[*i].capability == spec.requires[*j].capability {
                made.make("share a database", format!("{one} and {two}"), |s| {
                    let database = s.requires[*i].parameters["database"].clone();
                    s.requires[*j].parameters.insert("database".to_owned(), database);
                });
            }
        }
    }
}

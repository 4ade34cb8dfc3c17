//! `docs/reference/`: a page for each kind, from the schema that the API server checks it by.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use plinth_api::definitions;

/// Path and text of each kind's page, and of the one that lists them.
pub fn pages() -> Vec<(String, String)> {
    let all = definitions();
    let mut pages = vec![("docs/reference/README.md".to_owned(), index(&all))];
    pages.extend(all.iter().map(|crd| (format!("docs/reference/{}", file(crd)), kind(crd))));
    pages
}

fn file(crd: &CustomResourceDefinition) -> String {
    format!("{}.md", crd.spec.names.kind.to_lowercase())
}

fn schema(crd: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()
}

fn index(all: &[CustomResourceDefinition]) -> String {
    let mut text = "# Reference\n\nEvery kind of `plinth.dev/v1alpha1`, from the definitions in `crds/`; [products](products.md), \
                    [commands](../cli.md), [rights](../rights.md), [alerts](../runbooks/README.md).\n\n\
                    | kind | scope | short | what it is |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for crd in all {
        let names = &crd.spec.names;
        let what = schema(crd).and_then(|schema| schema.description.as_deref()).unwrap_or_default();
        text += &format!(
            "| [{}]({}) | {} | {} | {} |\n",
            names.kind,
            file(crd),
            crd.spec.scope,
            names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            cell(what)
        );
    }
    text
}

fn kind(crd: &CustomResourceDefinition) -> String {
    let names = &crd.spec.names;
    let mut text = format!("# {}\n", names.kind);
    let Some(schema) = schema(crd) else { return text };
    text += &format!(
        "\n{}\n\n`apiVersion: plinth.dev/v1alpha1`, {}; `kubectl get {}`. Fields with a star are required.\n",
        schema.description.as_deref().unwrap_or_default(),
        crd.spec.scope.to_lowercase(),
        names.short_names.iter().flatten().next().unwrap_or(&names.plural)
    );
    for part in ["spec", "status"] {
        let Some(properties) = schema.properties.as_ref().and_then(|properties| properties.get(part)) else {
            continue;
        };
        let mut rows = Vec::new();
        fields(properties, part, &mut rows);
        let rules = rules(properties, part);
        text += &format!("\n## {part}\n\n| field | type | what |\n| --- | --- | --- |\n{}", rows.concat());
        if !rules.is_empty() {
            text += &format!("\nWhat is refused:\n\n{}", rules.concat());
        }
    }
    text
}

/// A row for each field below this one, in the order of the schema.
fn fields(schema: &JSONSchemaProps, path: &str, rows: &mut Vec<String>) {
    let required = schema.required.clone().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let star = if required.contains(name) { "*" } else { "" };
        let path = format!("{path}.{name}");
        rows.push(format!("| `{path}`{star} | {} | {} |\n", cell(&type_of(field)), cell(&what(field))));
        below(field, &path, rows);
    }
}

fn below(field: &JSONSchemaProps, path: &str, rows: &mut Vec<String>) {
    fields(field, path, rows);
    if let Some(items) = items(field) {
        below(items, &format!("{path}[]"), rows);
    }
    if let Some(values) = values(field) {
        below(values, &format!("{path}.*"), rows);
    }
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(one) => Some(one),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// What every value of a map is.
fn values(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrBool as Values;
    match schema.additional_properties.as_ref()? {
        Values::Schema(one) => Some(one),
        Values::Bool(_) => None,
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some(items) = items(schema) {
        return format!("list of {}", type_of(items));
    }
    if let Some(values) = values(schema) {
        return format!("map of {}", type_of(values));
    }
    match schema.type_.as_deref() {
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}

/// What a field is and what is allowed.
fn what(schema: &JSONSchemaProps) -> String {
    let mut said: Vec<String> = schema.description.iter().cloned().collect();
    let json = |value: &serde_json::Value| format!("`{}`", value.to_string().trim_matches('"'));
    if let Some(allowed) = &schema.enum_ {
        let allowed: Vec<String> =
            allowed.iter().filter(|one| !one.0.is_null()).map(|one| json(&one.0)).collect();
        said.push(format!("One of {}.", allowed.join(", ")));
    }
    if let Some(default) = &schema.default {
        said.push(format!("Default {}.", json(&default.0)));
    }
    if let Some(pattern) = &schema.pattern {
        said.push(format!("Matches `{pattern}`."));
    }
    let number = |bound: Option<f64>| bound.map(|bound| format!("{bound}"));
    let count = |bound: Option<i64>| bound.map(|bound| bound.to_string());
    said.extend(between(number(schema.minimum), number(schema.maximum), ""));
    said.extend(between(count(schema.min_length), count(schema.max_length), " characters"));
    said.extend(between(count(schema.min_items), count(schema.max_items), " entries"));
    said.join(" ")
}

fn between(least: Option<String>, most: Option<String>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("From {least} to {most}{unit}.")),
        (Some(least), None) => Some(format!("At least {least}{unit}.")),
        (None, Some(most)) => Some(format!("At most {most}{unit}.")),
        (None, None) => None,
    }
}

/// The messages of the rules in CEL, here and below.
fn rules(schema: &JSONSchemaProps, path: &str) -> Vec<String> {
    let here = schema.x_kubernetes_validations.iter().flatten();
    let mut all: Vec<String> = here
        .filter_map(|rule| Some(format!("- `{path}`: {}\n", rule.message.as_deref()?.replace('\n', " "))))
        .collect();
    for (name, field) in schema.properties.iter().flatten() {
        all.extend(rules(field, &format!("{path}.{name}")));
    }
    if let Some(items) = items(schema) {
        all.extend(rules(items, &format!("{path}[]")));
    }
    if let Some(values) = values(schema) {
        all.extend(rules(values, &format!("{path}.*")));
    }
    all
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Values of the catalogue's language: literals, typed references, CEL, and MiniJinja inside configuration files.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cel::{Context, Env, Program};
use plinth_api::v1alpha1::product::Named;
use serde_json::{Map, Value};

/// Work that one template may do; a runaway loop ends here.
const TEMPLATE_FUEL: u64 = 2_000_000;
/// Elements that one `forEach` may have.
pub const MAX_INSTANCES: usize = 5_000;

/// The environment of every expression: CEL's standard library, its string and list extensions, nothing else.
fn environment() -> Arc<Env> {
    static ENV: OnceLock<Arc<Env>> = OnceLock::new();
    ENV.get_or_init(|| {
        let mut env = Env::stdlib();
        cel::extensions::strings(&mut env).expect("the extension registers once");
        cel::extensions::lists(&mut env).expect("the extension registers once");
        Arc::new(env)
    })
    .clone()
}

thread_local! {
    /// Compiled programs: an entry's expressions are the same in every reconcile.
    static PROGRAMS: RefCell<HashMap<String, Arc<Program>>> = RefCell::new(HashMap::new());
}

fn program(source: &str) -> Result<Arc<Program>, String> {
    PROGRAMS.with_borrow_mut(|programs| {
        if let Some(program) = programs.get(source) {
            return Ok(program.clone());
        }
        let program = environment()
            .compile(source)
            .map(Arc::new)
            .map_err(|e| format!("`{source}` is not a CEL expression: {e}"))?;
        programs.insert(source.to_owned(), program.clone());
        Ok(program)
    })
}

/// Whether the text is an expression at all.
///
/// # Errors
/// Says what does not compile.
pub fn compiles(source: &str) -> Result<(), String> {
    program(source).map(drop)
}

/// The environment of every template: strict and bounded.
fn templates() -> minijinja::Environment<'static> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment.add_filter("b64encode", |text: String| BASE64.encode(text));
    environment
}

/// A value of which nothing is known. Every part of it is one too; written out it is a digit, which fits wherever a text,
/// a number or a segment of a path does.
#[derive(Debug)]
struct Anything;

impl minijinja::value::Object for Anything {
    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _: &minijinja::Value) -> Option<minijinja::Value> {
        Some(minijinja::Value::from_dyn_object(self.clone()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1")
    }
}

/// JSON as CEL sees it. Whole numbers are `int`: entries compare them with plain literals.
fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n.as_i64().map_or_else(|| n.as_f64().unwrap_or(f64::NAN).into(), cel::Value::Int),
        Value::String(s) => cel::Value::String(Arc::new(s.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(map) => {
            let map: HashMap<String, cel::Value> = map.iter().map(|(k, v)| (k.clone(), to_cel(v))).collect();
            cel::Value::Map(map.into())
        }
    }
}

/// The names that expressions of one product instance see.
pub struct Scope<'p> {
    vars: Map<String, Value>,
    outer: Option<&'p Scope<'p>>,
    context: Context<'p, 'static>,
    /// The names as templates see them, converted once.
    template: OnceCell<minijinja::Value>,
}

impl Scope<'static> {
    /// A scope with these top-level names.
    pub fn new(vars: Map<String, Value>) -> Self {
        let mut context = Context::with_env(environment());
        for (name, value) in &vars {
            context.add_variable_from_value(name.clone(), to_cel(value));
        }
        Scope { vars, outer: None, context, template: OnceCell::new() }
    }
}

impl<'p> Scope<'p> {
    /// A scope inside this one, with further names.
    pub fn with<'c>(&'c self, more: Map<String, Value>) -> Scope<'c>
    where
        'p: 'c,
    {
        let mut context = self.context.new_inner_scope();
        for (name, value) in &more {
            context.add_variable_from_value(name.clone(), to_cel(value));
        }
        Scope { vars: more, outer: Some(self), context, template: OnceCell::new() }
    }

    /// The scope with a name of whose value nothing is known yet: templates find there whatever they ask for.
    pub fn guessing(self, name: &str) -> Self {
        let unknown = minijinja::Value::from_iter([(name, minijinja::Value::from_object(Anything))]);
        let template = minijinja::value::merge_maps([self.template_vars(), unknown]);
        Scope { template: OnceCell::from(template), ..self }
    }

    fn top(&self, name: &str) -> Option<&Value> {
        self.vars.get(name).or_else(|| self.outer.and_then(|outer| outer.top(name)))
    }

    /// The value at a dotted path.
    ///
    /// # Errors
    /// Names the first segment that does not exist and what does.
    pub fn reference(&self, path: &str) -> Result<&Value, String> {
        let mut segments = path.split('.');
        let first = segments.next().unwrap_or_default();
        let mut value = self.top(first).ok_or_else(|| format!("`{path}`: there is no `{first}` here"))?;
        let mut so_far = first.to_owned();
        for segment in segments {
            value = value.get(segment).ok_or_else(|| {
                let known: Vec<&str> =
                    value.as_object().map(|m| m.keys().map(String::as_str).collect()).unwrap_or_default();
                format!("`{path}`: `{so_far}` has no `{segment}`; it has: {}", listed(&known))
            })?;
            so_far = format!("{so_far}.{segment}");
        }
        Ok(value)
    }

    /// The result of a CEL expression.
    ///
    /// # Errors
    /// Says what does not compile or evaluate.
    pub fn cel(&self, source: &str) -> Result<Value, String> {
        let result = program(source)?.execute(&self.context).map_err(|e| format!("`{source}`: {e}"))?;
        let value = result.json().map_err(|e| format!("`{source}`: the result is no plain value: {e}"))?;
        Ok(in_order(value))
    }

    /// The truth of a `when`; a missing one is true.
    ///
    /// # Errors
    /// As [`Scope::cel`], and when the result is not a boolean.
    pub fn when(&self, source: Option<&str>) -> Result<bool, String> {
        let Some(source) = source else { return Ok(true) };
        match self.cel(source)? {
            Value::Bool(b) => Ok(b),
            other => Err(format!("`{source}`: is {other}, must be true or false")),
        }
    }

    /// The text of a named value: literal, reference or expression.
    ///
    /// # Errors
    /// As [`Scope::reference`] and [`Scope::cel`].
    pub fn text(&self, named: &Named) -> Result<String, String> {
        match (&named.value, &named.reference, &named.cel) {
            (Some(literal), None, None) => Ok(literal.clone()),
            (None, Some(path), None) => Ok(as_text(self.reference(path)?)),
            (None, None, Some(source)) => Ok(as_text(&self.cel(source)?)),
            _ => Err(format!("`{}`: give exactly one of value, ref, cel", named.name)),
        }
    }

    /// `value` with every string of the form `${…}` replaced by the result of its expression.
    ///
    /// # Errors
    /// As [`Scope::cel`], with the path of the string.
    pub fn embedded(&self, value: &Value, path: &str) -> Result<Value, String> {
        Ok(match value {
            Value::String(s) => match s.strip_prefix("${").and_then(|s| s.strip_suffix('}')) {
                Some(source) => self.cel(source).map_err(|e| format!("{path}: {e}"))?,
                None => value.clone(),
            },
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.embedded(item, &format!("{path}[{i}]")))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(map) => Value::Object(self.embedded_map(map, path)?),
            other => other.clone(),
        })
    }

    /// As [`Scope::embedded`], for an object.
    ///
    /// # Errors
    /// As [`Scope::embedded`].
    pub fn embedded_map(&self, map: &Map<String, Value>, path: &str) -> Result<Map<String, Value>, String> {
        map.iter().map(|(k, v)| Ok((k.clone(), self.embedded(v, &format!("{path}.{k}"))?))).collect()
    }

    /// The elements of a `forEach`, each with its key.
    ///
    /// # Errors
    /// When the list or a key does not evaluate, a key is not a name, or two keys are equal.
    pub fn instances(&self, list: &str, key: &str) -> Result<Vec<(String, Value)>, String> {
        let Value::Array(items) = self.cel(list)? else { return Err(format!("`{list}`: is no list")) };
        if items.len() > MAX_INSTANCES {
            return Err(format!("`{list}`: {} elements, at most {MAX_INSTANCES} are allowed", items.len()));
        }
        let mut keys = BTreeMap::new();
        let mut instances = Vec::with_capacity(items.len());
        for item in items {
            let scope = self.with(Map::from_iter([("item".to_owned(), item.clone())]));
            let name = as_text(&scope.cel(key)?);
            if !is_label(&name) {
                return Err(format!("`{key}`: `{name}` is no name (lower-case letters, digits and '-')"));
            }
            if keys.insert(name.clone(), ()).is_some() {
                return Err(format!("`{key}`: two elements have the key `{name}`"));
            }
            instances.push((name, item));
        }
        Ok(instances)
    }

    /// A configuration file. Strict: an unknown name is an error.
    ///
    /// # Errors
    /// Names the line and what is wrong there.
    pub fn template(&self, name: &str, source: &str) -> Result<String, String> {
        templates().render_named_str(name, source, self.template_vars()).map_err(|e| {
            let line = e.line().map(|line| format!(" line {line}")).unwrap_or_default();
            format!("{name}{line}: {e}")
        })
    }

    /// What stands between `{{` and `}}`, with the type of its value. Strict, as a template is. It holds no `}}` itself.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn expression(&self, source: &str) -> Result<Value, String> {
        // minijinja takes it for the end, and panics at what follows.
        if source.contains("}}") {
            return Err(format!("`{source}`: `}}}}` ends it before its end"));
        }
        let environment = templates();
        let value = environment
            .compile_expression(source)
            .and_then(|expression| expression.eval(self.template_vars()))
            .map_err(|e| format!("`{source}`: {e}"))?;
        if value.is_undefined() {
            return Err(format!("`{source}`: there is no such value"));
        }
        serde_json::to_value(&value).map_err(|e| format!("`{source}`: is no plain value: {e}"))
    }

    fn template_vars(&self) -> minijinja::Value {
        let own = self.template.get_or_init(|| minijinja::Value::from_serialize(&self.vars)).clone();
        match self.outer {
            None => own,
            Some(outer) => minijinja::value::merge_maps([outer.template_vars(), own]),
        }
    }
}

/// A value as it is written into a text.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether the text is a DNS label.
pub fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Names as people list them.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// The value with the keys of its maps in order. A map of CEL has none, and two plans of one Stack must be the same text.
fn in_order(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(one, _), (two, _)| one.cmp(two));
            Value::Object(entries.into_iter().map(|(key, value)| (key, in_order(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_order).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope<'static> {
        let Value::Object(vars) = json!({
            "params": { "count": 3, "names": ["a", "b"], "on": true },
            "requires": { "db": { "host": "db.ns.svc.cluster.local", "port": 5432 } },
        }) else {
            unreachable!()
        };
        Scope::new(vars)
    }

    #[test]
    fn whole_numbers_compare_with_plain_literals() {
        assert_eq!(scope().cel("params.count > 2 && params.count + 1 == 4").unwrap(), json!(true));
    }

    #[test]
    fn the_string_and_list_extensions_are_there() {
        assert_eq!(scope().cel("params.names.join(',')").unwrap(), json!("a,b"));
        assert_eq!(scope().cel("lists.range(params.count)").unwrap(), json!([0, 1, 2]));
    }

    #[test]
    fn an_expression_that_ends_before_its_end_is_an_error() {
        for source in ["params.count }} and", "params.count -}}{{ params.on", "'a' }}'b", "(1) }}2"] {
            let error = scope().expression(source).unwrap_err();
            assert!(error.ends_with("`}}` ends it before its end"), "{source}: {error}");
        }
        assert_eq!(scope().expression("{'a': {'b': params.count} }").unwrap(), json!({ "a": { "b": 3 } }));
    }

    #[test]
    fn a_wrong_reference_names_what_exists() {
        let error = scope().reference("requires.db.hsot").unwrap_err();
        assert_eq!(error, "`requires.db.hsot`: `requires.db` has no `hsot`; it has: host, port");
    }

    #[test]
    fn embedded_expressions_keep_their_type() {
        let value = json!({ "replicas": "${params.count}", "plain": "x", "list": ["${params.on}"] });
        assert_eq!(
            scope().embedded(&value, "object").unwrap(),
            json!({ "replicas": 3, "plain": "x", "list": [true] })
        );
    }

    #[test]
    fn a_map_has_the_same_order_however_often_it_is_made() {
        let made =
            || scope().cel("[{'e': 1, 'd': {'z': 1, 'y': 2}, 'c': 3, 'b': 4, 'a': 5}]").unwrap().to_string();
        for _ in 0..50 {
            assert_eq!(made(), r#"[{"a":5,"b":4,"c":3,"d":{"y":2,"z":1},"e":1}]"#);
        }
    }

    #[test]
    fn templates_are_strict_and_bounded() {
        assert_eq!(
            scope().template("a", "h={{ requires.db.host }}\n").unwrap(),
            "h=db.ns.svc.cluster.local\n"
        );
        assert!(scope().template("a", "{{ requires.nope.host }}").unwrap_err().contains("line 1"));
        let runaway = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(scope().template("a", runaway).is_err());
    }

    #[test]
    fn instance_keys_are_unique_names() {
        assert_eq!(scope().instances("params.names", "item").unwrap().len(), 2);
        assert!(scope().instances("['A']", "item").unwrap_err().contains("is no name"));
        assert!(scope().instances("['a', 'a']", "item").unwrap_err().contains("two elements"));
    }
}

//! Bodies that are kept for as long as a Stack runs. A country has thousands, so room that nothing will grow into is given back.

use serde_json::Value;

/// The same value, in no more memory than it needs: what is parsed or built piece by piece has room to grow, a third of it all.
pub fn compact(value: Value) -> Value {
    match value {
        Value::Array(mut items) => {
            for item in &mut items {
                *item = compact(item.take());
            }
            items.shrink_to_fit();
            Value::Array(items)
        }
        // A map cannot shrink; one that is collected has the size of its source.
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, compact(value))).collect())
        }
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_compact_value_says_the_same_in_the_same_order_without_room_to_grow() {
        let mut items = Vec::with_capacity(8);
        items.push(json!({ "z": 1, "a": [null, "text", { "m": {}, "b": [] }] }));
        let mut before = json!({ "second": null, "first": true });
        before["second"] = Value::Array(items);
        let said = before.to_string();
        let after = compact(before);
        assert_eq!(after.to_string(), said);
        let Value::Array(items) = &after["second"] else { panic!("{after} has lost its list") };
        assert_eq!(items.capacity(), 1);
    }
}

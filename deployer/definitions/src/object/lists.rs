//! Lists whose items are known by key fields, as server-side apply knows them.

use serde_json::Value;

/// The key fields of the list `field` in an object of `kind`; `None`: the list is one value.
pub fn key_fields(kind: &str, field: &str) -> Option<&'static [&'static str]> {
    Some(match field {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => {
            &["name"]
        }
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "ports" if kind == "Service" => &["port", "protocol"],
        "ports" => &["containerPort", "protocol"],
        _ => return None,
    })
}

/// The key of `item`, if it is a map that has what `fields` asks for.
pub fn item_key(fields: &[&str], item: &Value) -> Option<ItemKey> {
    let item = item.as_object()?;
    fields
        .iter()
        .map(|field| {
            let value = match item.get(*field) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                // The API server fills this in before it compares keys.
                None if *field == "protocol" => "TCP".to_owned(),
                _ => return None,
            };
            Some(((*field).to_owned(), value))
        })
        .collect()
}

/// The key fields of an item and what they hold.
pub type ItemKey = Vec<(String, String)>;

/// The items of the list `field` with their keys, if all of them have one.
pub fn keyed_items<'a>(kind: &str, field: &str, items: &'a [Value]) -> Option<Vec<(ItemKey, &'a Value)>> {
    let fields = key_fields(kind, field)?;
    items.iter().map(|item| Some((item_key(fields, item)?, item))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_protocol_is_tcp_and_other_keys_must_be_there() {
        let fields = key_fields("Deployment", "ports").unwrap();
        let tcp = item_key(fields, &json!({"containerPort": 80, "protocol": "TCP"}));
        assert!(tcp.is_some());
        assert_eq!(item_key(fields, &json!({"containerPort": 80})), tcp);
        assert_eq!(item_key(fields, &json!({"port": 80})), None);
        assert_eq!(keyed_items("NetworkPolicy", "ports", &[json!({"port": 80})]), None);
        assert_eq!(key_fields("Ingress", "rules"), None);
    }
}
